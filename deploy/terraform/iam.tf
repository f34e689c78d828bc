# Permissions: one resource per row of the inventory's table, which gives the reasons.
locals {
  # Google's service agents, which must exist before roles are granted to them.
  agents = {
    for name, domain in local.inventory.agents : "agent/${name}" => "service-${data.google_project.this.number}@${domain}"
  }
  members = merge(
    { for name, email in local.agents : name => "serviceAccount:${email}" },
    { for name, email in local.accounts : name => "serviceAccount:${email}" },
  )
  # Targets outside var.region.
  regions = {
    "service/${local.inventory.gpu_service.name}" = local.inventory.gpu_service.regions
    "job/${local.inventory.gpu_job.name}"         = local.inventory.gpu_job.regions
    "job/${local.inventory.cut_job.name}"         = local.inventory.cut_job.regions
  }
  bindings = merge([
    for row in local.inventory.iam : {
      for region in try(local.regions[row.target], [""]) : trimspace("${row.who} ${row.role} ${row.target} ${region}") => {
        who    = row.who
        role   = row.role
        kind   = split("/", row.target)[0]
        name   = try(split("/", row.target)[1], "")
        only   = try(row.only, "")
        region = coalesce(region, var.region)
      }
    }
  ]...)
}

resource "google_project_service_identity" "agent" {
  provider   = google-beta
  for_each   = toset(local.inventory.identities)
  service    = each.value
  depends_on = [google_project_service.api]
}

data "google_storage_project_service_account" "agent" {
  depends_on = [google_project_service.api]
}

# A new agent is unknown to parts of the project for a while, and a new role has no effect there.
resource "time_sleep" "agents" {
  create_duration = "${local.inventory.waits.agents}s"
  triggers        = { agents = join(" ", local.inventory.identities) }
  depends_on      = [google_project_service_identity.agent, data.google_storage_project_service_account.agent]
}

resource "time_sleep" "permissions" {
  create_duration = "${local.inventory.waits.permissions}s"
  # More permissions mean another wait.
  triggers = { permissions = sha256(jsonencode([for key, row in local.bindings : key if contains(["project", "bucket", "secret", "account", "topic"], row.kind)])) }
  depends_on = [
    google_project_iam_member.binding,
    google_storage_bucket_iam_member.binding,
    google_secret_manager_secret_iam_member.binding,
    google_service_account_iam_member.binding,
    google_pubsub_topic_iam_member.binding,
  ]
}

resource "google_project_iam_member" "binding" {
  for_each = { for key, row in local.bindings : key => row if row.kind == "project" }
  project  = var.project_id
  role     = each.value.role
  member   = local.members[each.value.who]

  dynamic "condition" {
    for_each = each.value.only == "" ? [] : [each.value.only]
    content {
      title      = var.service_prefix
      expression = condition.value
    }
  }

  depends_on = [time_sleep.agents]
}

resource "google_storage_bucket_iam_member" "binding" {
  for_each = { for key, row in local.bindings : key => row if row.kind == "bucket" }
  bucket   = local.buckets[each.value.name]
  role     = each.value.role
  member   = local.members[each.value.who]
}

resource "google_secret_manager_secret_iam_member" "binding" {
  for_each  = { for key, row in local.bindings : key => row if row.kind == "secret" }
  secret_id = local.inventory.secrets[each.value.name].secret
  role      = each.value.role
  member    = local.members[each.value.who]
}

resource "google_service_account_iam_member" "binding" {
  for_each           = { for key, row in local.bindings : key => row if row.kind == "account" }
  service_account_id = google_service_account.account[each.value.name].name
  role               = each.value.role
  member             = local.members[each.value.who]
  depends_on         = [time_sleep.agents]
}

resource "google_cloud_run_v2_service_iam_member" "binding" {
  for_each = { for key, row in local.bindings : key => row if row.kind == "service" }
  location = each.value.region
  name     = each.value.name == local.inventory.gpu_service.name ? google_cloud_run_v2_service.gpu[each.value.region].name : google_cloudfunctions2_function.function[each.value.name].name
  role     = each.value.role
  member   = local.members[each.value.who]
}

resource "google_cloud_run_v2_job_iam_member" "binding" {
  for_each = { for key, row in local.bindings : key => row if row.kind == "job" }
  location = each.value.region
  name     = each.value.name == local.inventory.gpu_job.name ? google_cloud_run_v2_job.gpu[each.value.region].name : google_cloud_run_v2_job.cut.name
  role     = each.value.role
  member   = local.members[each.value.who]
}

resource "google_pubsub_topic_iam_member" "binding" {
  for_each   = { for key, row in local.bindings : key => row if row.kind == "topic" }
  topic      = google_pubsub_topic.topic[each.value.name].name
  role       = each.value.role
  member     = local.members[each.value.who]
  depends_on = [time_sleep.agents]
}

resource "google_pubsub_subscription_iam_member" "binding" {
  for_each     = { for key, row in local.bindings : key => row if contains(["subscription", "trigger"], row.kind) }
  subscription = local.subscriptions[each.value.name]
  role         = each.value.role
  member       = local.members[each.value.who]
  depends_on   = [time_sleep.agents]
}
