# What runs on a GPU, or on CPUs with gpu_type none: the service in each region, and the job for very large batches.
resource "google_cloud_run_v2_service" "gpu" {
  for_each            = toset(local.inventory.gpu_service.regions)
  name                = "${var.service_prefix}-${local.inventory.gpu_service.name}"
  location            = each.value
  ingress             = var.ingress == "internal" ? "INGRESS_TRAFFIC_INTERNAL_ONLY" : "INGRESS_TRAFFIC_ALL"
  deletion_protection = false

  template {
    service_account                  = local.accounts[local.inventory.gpu_service.name]
    timeout                          = "${local.inventory.gpu_service.timeout}s"
    max_instance_request_concurrency = local.inventory.gpu_service.concurrency
    gpu_zonal_redundancy_disabled    = local.with_gpu ? !local.inventory.gpu_service.zonal_redundancy : null
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"
    encryption_key                   = local.kms_key

    dynamic "node_selector" {
      for_each = local.with_gpu ? [local.inventory.gpu_service.gpu] : []
      content {
        accelerator = node_selector.value
      }
    }

    scaling {
      min_instance_count = local.inventory.gpu_service.min_instances
      max_instance_count = local.inventory.gpu_service.max_instances
    }

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
      image = local.inventory.gpu_service.image

      ports {
        container_port = local.inventory.gpu_service.port
      }

      resources {
        cpu_idle          = local.inventory.gpu_service.cpu_idle
        startup_cpu_boost = local.inventory.gpu_service.cpu_boost
        limits = merge(
          { cpu = tostring(local.inventory.gpu_service.cpu), memory = local.inventory.gpu_service.memory },
          local.with_gpu ? { "nvidia.com/gpu" = "1" } : {},
        )
      }

      dynamic "env" {
        for_each = local.environment[local.inventory.gpu_service.name]
        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = { for name, secret in local.inventory.secrets : name => secret if !can(secret.file) }
        content {
          name = env.key
          value_source {
            secret_key_ref {
              secret  = env.value.secret
              version = "latest"
            }
          }
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

  # With gpu_revision, the latest revision has no traffic and is reached under its tag.
  dynamic "traffic" {
    for_each = local.inventory.gpu_service.revision == "" ? [
      { type = "LATEST", revision = null, percent = 100, tag = null },
      ] : [
      { type = "REVISION", revision = local.inventory.gpu_service.revision, percent = 100, tag = null },
      { type = "LATEST", revision = null, percent = 0, tag = "candidate" },
    ]
    content {
      type     = "TRAFFIC_TARGET_ALLOCATION_TYPE_${traffic.value.type}"
      revision = traffic.value.revision
      percent  = traffic.value.percent
      tag      = traffic.value.tag
    }
  }

  lifecycle {
    precondition {
      condition     = (var.vpc_network == "") == (var.vpc_subnetwork == "")
      error_message = "vpc_network and vpc_subnetwork go together: set both or neither."
    }
    precondition {
      condition     = var.vpc_subnetwork == "" || local.gpu_regions == tolist([try(split("/", var.vpc_subnetwork)[3], "")])
      error_message = "vpc_subnetwork must lie in the only GPU region; gpu_regions is ${jsonencode(local.gpu_regions)}."
    }
    precondition {
      condition     = var.kms_key == "" || (try(split("/", var.kms_key)[3], "") == var.region && local.gpu_regions == tolist([var.region]))
      error_message = "kms_key must lie in the region ${var.region}, which must be the only GPU region."
    }
    precondition {
      condition     = var.gpu_revision == "" || length(local.gpu_regions) == 1
      error_message = "gpu_revision names a revision of one region; with several gpu_regions leave it empty."
    }
    precondition {
      condition     = length(var.gpu_region_weights) == 0 || (length(var.gpu_region_weights) == length(local.gpu_regions) && sum(concat([0], [for weight in var.gpu_region_weights : tonumber(weight)])) > 0)
      error_message = "gpu_region_weights needs a number for each of ${jsonencode(local.gpu_regions)}, one of them above 0; it is ${jsonencode(var.gpu_region_weights)}."
    }
    precondition {
      condition     = contains(local.machine.cpus, local.gpu_cpu)
      error_message = "gpu_cpu is ${local.gpu_cpu}; with gpu_type ${var.gpu_type} it must be one of ${jsonencode(local.machine.cpus)}."
    }
    precondition {
      condition     = local.gpu_gib >= local.machine.least_gib
      error_message = "gpu_memory is ${local.gpu_gib}Gi; with gpu_type ${var.gpu_type} it must be at least ${local.machine.least_gib}Gi."
    }
  }

  depends_on = [time_sleep.permissions]
}

resource "google_cloud_run_v2_job" "gpu" {
  for_each            = toset(local.inventory.gpu_job.regions)
  name                = "${var.service_prefix}-${local.inventory.gpu_job.name}"
  location            = each.value
  deletion_protection = false

  template {
    task_count  = local.inventory.gpu_job.tasks
    parallelism = local.inventory.gpu_job.parallelism

    template {
      service_account               = local.accounts[local.inventory.gpu_job.name]
      timeout                       = "${local.inventory.gpu_job.task_timeout}s"
      max_retries                   = local.inventory.gpu_job.max_retries
      gpu_zonal_redundancy_disabled = local.with_gpu ? !local.inventory.gpu_job.zonal_redundancy : null
      execution_environment         = "EXECUTION_ENVIRONMENT_GEN2"
      encryption_key                = local.kms_key

      dynamic "node_selector" {
        for_each = local.with_gpu ? [local.inventory.gpu_job.gpu] : []
        content {
          accelerator = node_selector.value
        }
      }

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
        image   = local.inventory.gpu_job.image
        command = local.inventory.gpu_job.command

        resources {
          limits = merge(
            { cpu = tostring(local.inventory.gpu_job.cpu), memory = local.inventory.gpu_job.memory },
            local.with_gpu ? { "nvidia.com/gpu" = "1" } : {},
          )
        }

        dynamic "env" {
          for_each = local.environment[local.inventory.gpu_job.name]
          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "env" {
          for_each = { for name, secret in local.inventory.secrets : name => secret if !can(secret.file) }
          content {
            name = env.key
            value_source {
              secret_key_ref {
                secret  = env.value.secret
                version = "latest"
              }
            }
          }
        }
      }
    }
  }

  depends_on = [time_sleep.permissions]
}
