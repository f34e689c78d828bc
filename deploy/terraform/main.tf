# The system of ../inventory.yaml: one resource per entry.
locals {
  root = "${path.module}/${var.sources}"
  # The GPU job runs in the first region.
  gpu_regions = length(var.gpu_regions) == 0 ? [var.region] : var.gpu_regions

  machine  = yamldecode(file("${local.root}/deploy/machines.yaml"))[var.gpu_type]
  with_gpu = var.gpu_type != "none"
  gpu_cpu  = var.gpu_cpu == 0 ? local.machine.cpu : var.gpu_cpu
  gpu_gib  = tonumber(trimsuffix(var.gpu_memory == "" ? local.machine.memory : var.gpu_memory, "Gi"))
  price    = local.machine.prices.gpu + local.gpu_cpu * local.machine.prices.cpu + local.gpu_gib * local.machine.prices.gib

  settings = {
    project_id         = var.project_id
    region             = var.region
    service_prefix     = var.service_prefix
    metric_prefix      = replace(var.service_prefix, "-", "_") # names of metrics in PromQL have no hyphens
    gpu_image          = var.gpu_image
    gpu_parameters     = var.gpu_parameters
    max_tokens         = var.max_tokens
    models             = var.models
    served_profile     = var.models == "" ? var.gpu_profile : var.models_profile
    hub_offline        = var.models == "" && var.hub_token_secret == "" ? "1" : "0"
    hub_token          = var.hub_token_secret != ""
    hub_token_secret   = var.hub_token_secret
    notifications      = var.notifications_secret != ""
    vertex             = var.vertex_predict_role != ""
    vertex_registered  = var.vertex_registry_role != ""
    vertex_registry    = var.vertex_registry_role == "" ? "" : "projects/${var.project_id}/locations/${var.region}"
    gpu_regions        = jsonencode(local.gpu_regions)
    gpu_region_list    = join(",", local.gpu_regions)
    gpu_jobs           = join(",", [for region in local.gpu_regions : "projects/${var.project_id}/locations/${region}/jobs/${var.service_prefix}-gpu-job"])
    keep_latest        = var.keep_latest
    track_objects      = var.track_objects
    sweep_order        = var.track_objects ? "{\"uploads\": false}" : "{}"
    gpu_type           = var.gpu_type
    gpu_memory         = "${local.gpu_gib}Gi"
    gpu_cpu            = local.gpu_cpu
    gpu_required       = local.with_gpu ? "1" : "0"
    cpu_idle           = !local.with_gpu
    gpu_concurrency    = var.gpu_concurrency
    gpu_usd_per_second = var.gpu_usd_per_second == 0 ? tonumber(format("%.8f", local.price)) : var.gpu_usd_per_second
    preprocess_memory  = var.preprocess_memory
    postprocess_memory = var.postprocess_memory
    min_instances      = var.min_instances
    max_instances      = var.max_instances
    timeout_seconds    = var.timeout_seconds
    gpu_revision       = var.gpu_revision
    sweep_schedule     = var.sweep_schedule
    own_input          = local.own_input
    input_bucket       = local.input_bucket
    input_location     = var.existing_input_location == "" ? var.region : var.existing_input_location
    soft_delete_days   = var.soft_delete_days
    report_days        = var.report_days
    micro_batching     = var.micro_batching
    max_wait           = var.max_wait
    max_collections    = var.max_collections
    tenants            = var.tenants
    tenant_share       = var.tenant_share
    job_tasks          = var.job_tasks

    gpu_region_weight_list  = join(",", var.gpu_region_weights)
    input_storage_class     = var.input_storage_class
    output_storage_class    = var.output_storage_class
    input_delete_after      = var.input_delete_after
    output_delete_after     = var.output_delete_after
    noncurrent_delete_after = var.noncurrent_delete_after
    job_threshold_records   = var.job_threshold_records
    max_executions_per_hour = var.max_executions_per_hour
    vertex_predict_role     = var.vertex_predict_role
    vertex_registry_role    = var.vertex_registry_role
    model_memory_bytes      = var.model_memory_bytes
    load_wait_seconds       = var.load_wait_seconds
    models_refresh_seconds  = var.models_refresh_seconds
    notifications_secret    = var.notifications_secret

    notifications_with_micro_batching = var.notifications_secret != "" && var.micro_batching
  }
  sections = yamldecode(templatefile("${local.root}/deploy/inventory.yaml", local.settings))
  # Without the entries that the variables disable.
  inventory = merge(
    local.sections,
    { for section in ["functions", "topics", "push", "triggers", "notifications", "secrets", "alerts", "buckets", "pull"] : section => {
      for name, entry in local.sections[section] : name => entry if try(entry.when, true) && !try(entry.unless, false)
    } },
    { iam = [for row in local.sections.iam : row if try(row.when, true) && !try(row.unless, false)] },
  )

  kms_key         = var.kms_key == "" ? null : var.kms_key
  budget_currency = var.budget_currency == "" ? null : var.budget_currency
  # Of the GPU service and job; functions take the connector.
  vpc = var.vpc_network != "" ? [{ connector = null, interfaces = [{ network = var.vpc_network, subnetwork = var.vpc_subnetwork }] }] : (
    var.vpc_connector != "" ? [{ connector = var.vpc_connector, interfaces = [] }] : []
  )
  vpc_egress = upper(replace(var.vpc_egress, "-", "_"))

  own_input    = var.existing_input_bucket == ""
  input_bucket = local.own_input ? "${var.project_id}-${var.service_prefix}-input" : var.existing_input_bucket
  # The names of the created buckets, and of the existing one.
  buckets = merge(
    { input = local.input_bucket },
    { for name, bucket in google_storage_bucket.bucket : name => bucket.name },
  )
  accounts = { for name, account in google_service_account.account : name => account.email }
}

data "google_project" "this" {
  project_id = var.project_id
}

resource "google_project_service" "api" {
  for_each           = toset(local.inventory.apis)
  service            = each.value
  disable_on_destroy = false
}

resource "google_service_account" "account" {
  for_each     = local.inventory.accounts
  account_id   = "${var.service_prefix}-${each.key}"
  display_name = each.value
  depends_on   = [google_project_service.api]
}

resource "google_artifact_registry_repository" "images" {
  repository_id = local.inventory.registry.name
  location      = var.region
  format        = local.inventory.registry.format
  kms_key_name  = local.kms_key
  depends_on    = [google_project_service.api]
}

resource "google_storage_bucket" "bucket" {
  for_each                    = local.inventory.buckets
  name                        = "${var.project_id}-${var.service_prefix}-${each.key}"
  location                    = var.region
  storage_class               = each.value.class
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !(each.value.keep && var.keep_data)

  versioning {
    enabled = each.value.versioning
  }

  dynamic "encryption" {
    for_each = var.kms_key == "" ? [] : [var.kms_key]
    content {
      default_kms_key_name = encryption.value
    }
  }

  soft_delete_policy {
    retention_duration_seconds = each.value.soft_delete * 86400
  }

  dynamic "lifecycle_rule" {
    for_each = each.value.delete_after > 0 ? [each.value.delete_after] : []
    content {
      action {
        type = "Delete"
      }
      condition {
        age = lifecycle_rule.value
      }
    }
  }

  dynamic "lifecycle_rule" {
    for_each = each.value.noncurrent_after > 0 ? [each.value.noncurrent_after] : []
    content {
      action {
        type = "Delete"
      }
      condition {
        days_since_noncurrent_time = lifecycle_rule.value
      }
    }
  }

  lifecycle {
    precondition {
      condition     = var.output_delete_after == 0 || (local.own_input && var.input_delete_after > 0 && var.output_delete_after >= var.input_delete_after + 7)
      error_message = "output_delete_after is ${var.output_delete_after}: documents must be kept at least 7 days longer than uploads, or sweeps process the uploads again. Set input_delete_after to less, or output_delete_after to 0; with existing_input_bucket, only 0 is possible."
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_project_iam_audit_config" "storage" {
  count   = var.audit_logs ? 1 : 0
  project = var.project_id
  service = "storage.googleapis.com"

  audit_log_config {
    log_type = "DATA_READ"
  }
  audit_log_config {
    log_type = "DATA_WRITE"
  }
}

resource "google_billing_budget" "budget" {
  count           = var.billing_account == "" ? 0 : 1
  billing_account = var.billing_account
  display_name    = "${var.project_id} ${var.service_prefix}" # a billing account may have several projects

  budget_filter {
    projects = ["projects/${data.google_project.this.number}"]
  }
  amount {
    specified_amount {
      currency_code = local.budget_currency
      units         = var.budget_amount
    }
  }
  dynamic "threshold_rules" {
    for_each = [0.5, 0.9, 1.0]
    content {
      threshold_percent = threshold_rules.value
    }
  }
}
