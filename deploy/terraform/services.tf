# What runs: the functions, the GPU service and the workflow that calls them.
locals {
  environment = {
    for name, function in local.inventory.functions : name => merge([for set in function.env : local.inventory.env[set]]...)
  }
  urls = merge(
    { for name, function in google_cloudfunctions2_function.function : name => function.service_config[0].uri },
    { (local.inventory.gpu_service.name) = google_cloud_run_v2_service.gpu.uri },
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

  build_config {
    runtime         = local.inventory.runtime
    entry_point     = replace(each.key, "-", "_")
    service_account = google_service_account.account["builder"].id

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
    environment_variables            = local.environment[each.key]
  }

  # Without these roles the build of a function fails.
  depends_on = [google_project_iam_member.binding, google_storage_bucket_iam_member.binding]
}

resource "google_cloud_run_v2_service" "gpu" {
  name                = "${var.service_prefix}-${local.inventory.gpu_service.name}"
  location            = var.region
  ingress             = var.ingress == "internal" ? "INGRESS_TRAFFIC_INTERNAL_ONLY" : "INGRESS_TRAFFIC_ALL"
  deletion_protection = false

  template {
    service_account                  = local.accounts[local.inventory.gpu_service.name]
    timeout                          = "${local.inventory.gpu_service.timeout}s"
    max_instance_request_concurrency = local.inventory.gpu_service.concurrency
    gpu_zonal_redundancy_disabled    = !local.inventory.gpu_service.zonal_redundancy
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"

    node_selector {
      accelerator = local.inventory.gpu_service.gpu
    }

    scaling {
      min_instance_count = local.inventory.gpu_service.min_instances
      max_instance_count = local.inventory.gpu_service.max_instances
    }

    dynamic "vpc_access" {
      for_each = var.vpc_connector == "" ? [] : [var.vpc_connector]
      content {
        connector = vpc_access.value
      }
    }

    containers {
      image = local.inventory.gpu_service.image

      ports {
        container_port = local.inventory.gpu_service.port
      }

      resources {
        cpu_idle          = false
        startup_cpu_boost = local.inventory.gpu_service.cpu_boost
        limits = {
          cpu              = tostring(local.inventory.gpu_service.cpu)
          memory           = local.inventory.gpu_service.memory
          "nvidia.com/gpu" = "1"
        }
      }

      dynamic "env" {
        for_each = local.inventory.gpu_service.env
        content {
          name  = env.key
          value = env.value
        }
      }

      startup_probe {
        period_seconds    = local.inventory.gpu_service.startup_probe.period
        timeout_seconds   = local.inventory.gpu_service.startup_probe.timeout
        failure_threshold = local.inventory.gpu_service.startup_probe.failures
        http_get {
          path = local.inventory.gpu_service.startup_probe.path
          port = local.inventory.gpu_service.port
        }
      }

      liveness_probe {
        period_seconds    = local.inventory.gpu_service.liveness_probe.period
        timeout_seconds   = local.inventory.gpu_service.liveness_probe.timeout
        failure_threshold = local.inventory.gpu_service.liveness_probe.failures
        http_get {
          path = local.inventory.gpu_service.liveness_probe.path
          port = local.inventory.gpu_service.port
        }
      }
    }
  }

  depends_on = [google_storage_bucket_iam_member.binding]
}

resource "google_workflows_workflow" "pipeline" {
  name                = var.service_prefix
  region              = var.region
  service_account     = google_service_account.account["workflow"].id
  source_contents     = file("${local.root}/${local.inventory.workflow.source}")
  call_log_level      = "LOG_ERRORS_ONLY"
  deletion_protection = false
  user_env_vars = merge(
    local.inventory.workflow.env,
    { for variable, service in local.inventory.workflow.urls : variable => local.urls[service] },
  )
}
