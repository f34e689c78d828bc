# What runs without a GPU: the functions and the workflow.
locals {
  # Everything that runs, with the groups of environment variables that it reads.
  runs = merge(local.inventory.functions, {
    (local.inventory.gpu_service.name) = local.inventory.gpu_service
    (local.inventory.gpu_job.name)     = local.inventory.gpu_job
    (local.inventory.cut_job.name)     = local.inventory.cut_job
  })
  environment = { for name, run in local.runs : name => merge([for set in run.env : local.inventory.env[set]]...) }
  urls = merge(
    { for name, function in google_cloudfunctions2_function.function : name => function.service_config[0].uri },
    { (local.inventory.gpu_service.name) = join(",", [for region in local.inventory.gpu_service.regions : google_cloud_run_v2_service.gpu[region].uri]) },
  )
}

data "archive_file" "function" {
  for_each    = local.inventory.functions
  type        = "zip"
  source_dir  = "${local.root}/build/functions/${replace(each.key, "-", "_")}"
  output_path = "${local.root}/build/archives/${each.key}.zip"
}

resource "google_storage_bucket_object" "function" {
  for_each = local.inventory.functions
  bucket   = google_storage_bucket.bucket["source"].name
  name     = "functions/${each.key}-${data.archive_file.function[each.key].output_md5}.zip"
  source   = data.archive_file.function[each.key].output_path
}

resource "google_cloudfunctions2_function" "function" {
  for_each = local.inventory.functions
  name     = "${var.service_prefix}-${each.key}"
  location = var.region

  kms_key_name = local.kms_key

  build_config {
    runtime         = local.inventory.runtime
    entry_point     = replace(each.key, "-", "_")
    service_account = google_service_account.account["builder"].id
    worker_pool     = var.build_worker_pool == "" ? null : var.build_worker_pool
    # With a key, images must be in a registry that has it, too.
    docker_repository = var.kms_key == "" ? null : "projects/${var.project_id}/locations/${var.region}/repositories/${google_artifact_registry_repository.images.repository_id}"

    source {
      storage_source {
        bucket = google_storage_bucket_object.function[each.key].bucket
        object = google_storage_bucket_object.function[each.key].name
      }
    }
  }

  service_config {
    service_account_email            = local.accounts[each.key]
    available_cpu                    = tostring(each.value.cpu)
    available_memory                 = each.value.memory
    max_instance_request_concurrency = each.value.concurrency
    timeout_seconds                  = each.value.timeout
    min_instance_count               = 0
    max_instance_count               = each.value.max_instances
    ingress_settings                 = var.ingress == "internal" ? "ALLOW_INTERNAL_ONLY" : "ALLOW_ALL"
    vpc_connector                    = var.vpc_connector == "" ? null : var.vpc_connector
    vpc_connector_egress_settings    = var.vpc_connector == "" ? null : local.vpc_egress
    environment_variables            = local.environment[each.key]

    dynamic "secret_volumes" {
      for_each = [for name, secret in local.inventory.secrets : secret if name == try(each.value.secret, "")]
      content {
        mount_path = secret_volumes.value.folder
        project_id = var.project_id
        secret     = secret_volumes.value.secret
        versions {
          version = "latest"
          path    = secret_volumes.value.file
        }
      }
    }
  }

  lifecycle {
    precondition {
      condition     = each.key != "on-message" || var.tenants == "" || var.max_executions_per_hour > 0
      error_message = "tenants needs a max_executions_per_hour above 0, of which tenant_share is a part."
    }
    precondition {
      condition     = each.key != "on-message" || var.max_collections < each.value.max_instances * each.value.concurrency
      error_message = "max_collections is ${var.max_collections}, but on-message handles ${each.value.max_instances * each.value.concurrency} messages at the same time and some are others. Raise functions.on-message.max_instances in deploy/inventory.yaml, or lower max_collections."
    }
  }

  # The build of a function fails until its roles have an effect.
  depends_on = [time_sleep.permissions]
}

# The service of Cloud Run that Cloud Functions made of the function whose code the cut job runs: it names the image.
data "google_cloud_run_v2_service" "cut" {
  name       = "${var.service_prefix}-${local.inventory.cut_job.function}"
  location   = local.inventory.cut_job.regions[0]
  depends_on = [google_cloudfunctions2_function.function]
}

resource "google_cloud_run_v2_job" "cut" {
  name                = "${var.service_prefix}-${local.inventory.cut_job.name}"
  location            = local.inventory.cut_job.regions[0]
  deletion_protection = false

  template {
    task_count  = local.inventory.cut_job.tasks
    parallelism = local.inventory.cut_job.parallelism

    template {
      service_account       = local.accounts[local.inventory.cut_job.name]
      timeout               = "${local.inventory.cut_job.task_timeout}s"
      max_retries           = local.inventory.cut_job.max_retries
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2"
      encryption_key        = local.kms_key

      dynamic "vpc_access" {
        for_each = local.vpc
        content {
          connector = vpc_access.value.connector
          egress    = local.vpc_egress

          dynamic "network_interfaces" {
            for_each = vpc_access.value.interfaces
            content {
              network    = network_interfaces.value.network
              subnetwork = network_interfaces.value.subnetwork
            }
          }
        }
      }

      containers {
        image   = data.google_cloud_run_v2_service.cut.template[0].containers[0].image
        command = local.inventory.cut_job.command

        resources {
          limits = { cpu = tostring(local.inventory.cut_job.cpu), memory = local.inventory.cut_job.memory }
        }

        dynamic "env" {
          for_each = local.environment[local.inventory.cut_job.name]
          content {
            name  = env.key
            value = env.value
          }
        }
      }
    }
  }

  depends_on = [time_sleep.permissions]
}

resource "google_workflows_workflow" "pipeline" {
  name                = var.service_prefix
  region              = var.region
  service_account     = google_service_account.account["workflow"].id
  source_contents     = file("${local.root}/${local.inventory.workflow.source}")
  call_log_level      = "LOG_ERRORS_ONLY"
  crypto_key_name     = local.kms_key
  deletion_protection = false
  user_env_vars = merge(
    local.inventory.workflow.env,
    { for variable, service in local.inventory.workflow.urls : variable => local.urls[service] },
  )

  depends_on = [time_sleep.permissions]
}
