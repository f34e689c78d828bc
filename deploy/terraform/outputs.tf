locals {
  # The subscriptions that Eventarc creates for its triggers.
  deliveries = {
    for name, trigger in google_eventarc_trigger.trigger : name => basename(trigger.transport[0].pubsub[0].subscription)
  }
  subscriptions = merge(
    { for name, subscription in google_pubsub_subscription.push : name => subscription.name },
    { for name, subscription in google_pubsub_subscription.pull : name => subscription.name },
    local.deliveries,
  )
}

output "buckets" {
  description = "Bucket names, by the inventory's names."
  value       = local.buckets
}

output "urls" {
  description = "Service URLs, one per region, comma-separated; each call needs an identity token with the URL as audience."
  value       = local.urls
}

output "workflow" {
  description = "The workflow's full name, which the functions read from WORKFLOW."
  value       = google_workflows_workflow.pipeline.id
}

output "gpu_image" {
  description = "The image that the GPU service runs."
  value       = var.gpu_image
}

output "dead_letters" {
  description = "Commands to run once after the first apply: the provider cannot set the dead-letter topic of Eventarc's subscriptions."
  value = [
    for name, trigger in local.inventory.triggers : join(" ", [
      "gcloud pubsub subscriptions update ${local.deliveries[name]} --project=${var.project_id}",
      "--dead-letter-topic=${google_pubsub_topic.topic[trigger.dead_letter].name} --max-delivery-attempts=${trigger.attempts}",
    ])
  ]
}

output "report" {
  description = "Opens Looker Studio on the view of finished jobs, which deploy/monitoring/views.sql creates; empty without reports."
  value = !var.reports ? "" : join("&", [
    "https://lookerstudio.google.com/reporting/create?ds.ds0.connector=bigQuery",
    "ds.ds0.type=TABLE",
    "ds.ds0.projectId=${var.project_id}",
    "ds.ds0.datasetId=${google_bigquery_dataset.logs[0].dataset_id}",
    "ds.ds0.tableId=jobs",
  ])
}
