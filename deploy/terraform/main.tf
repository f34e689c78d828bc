# The system of ../inventory.yaml: one resource per entry.
locals {
  root = "${path.module}/${var.sources}"
  # The GPU job runs in the first region.
  gpu_regions = length(var.gpu_regions) == 0 ? [var.region] : var.gpu_regions

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
    gpu_regions        = jsonencode(local.gpu_regions)
    gpu_region         = local.gpu_regions[0]
    gpu_type           = var.gpu_type
    gpu_memory         = var.gpu_memory
    gpu_cpu            = var.gpu_cpu
    gpu_concurrency    = var.gpu_concurrency
    gpu_usd_per_second = var.gpu_usd_per_second
    preprocess_memory  = var.preprocess_memory
    postprocess_memory = var.postprocess_memory
    min_instances      = var.min_instances
    max_instances      = var.max_instances
    timeout_seconds    = var.timeout_seconds
    sweep_schedule     = var.sweep_schedule
    micro_batching     = var.micro_batching
    job_tasks          = var.job_tasks

    job_threshold_records   = var.job_threshold_records
    max_executions_per_hour = var.max_executions_per_hour
  }
  sections = yamldecode(templatefile("${local.root}/deploy/inventory.yaml", local.settings))
  # Without the entries that the variables disable.
  inventory = merge(
    local.sections,
    { for section in ["triggers", "notifications", "schedules", "secrets"] : section => {
      for name, entry in local.sections[section] : name => entry if try(entry.when, true) && !try(entry.unless, false)
    } },
    { iam = [for row in local.sections.iam : row if try(row.when, true) && !try(row.unless, false)] },
  )

  buckets  = { for name in keys(local.inventory.buckets) : name => "${var.project_id}-${var.service_prefix}-${name}" }
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
  depends_on    = [google_project_service.api]
}

resource "google_storage_bucket" "bucket" {
  for_each                    = local.inventory.buckets
  name                        = local.buckets[each.key]
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !(each.value.keep && var.keep_data)

  versioning {
    enabled = each.value.versioning
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
  display_name    = var.service_prefix

  budget_filter {
    projects = ["projects/${data.google_project.this.number}"]
  }
  amount {
    specified_amount {
      currency_code = "USD"
      units         = var.budget_usd
    }
  }
  dynamic "threshold_rules" {
    for_each = [0.5, 0.9, 1.0]
    content {
      threshold_percent = threshold_rules.value
    }
  }
}
