# Log-based metrics, alerts, dashboards, the service level objective, and the log sink for reports.
resource "google_logging_metric" "metric" {
  for_each         = local.inventory.log_metrics
  name             = "${var.service_prefix}-${each.key}"
  description      = each.value.about
  filter           = each.value.filter
  label_extractors = { for label, field in each.value.labels : label => "EXTRACT(${field})" }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"

    dynamic "labels" {
      for_each = keys(each.value.labels)
      content {
        key        = labels.value
        value_type = "STRING"
      }
    }
  }

  depends_on = [google_project_service.api]
}

# A service level objective on a metric that Cloud Monitoring does not know yet is refused.
resource "time_sleep" "metrics" {
  create_duration = "${local.inventory.waits.metrics}s"
  triggers        = { metrics = join(" ", keys(local.inventory.log_metrics)) }
  depends_on      = [google_logging_metric.metric]
}

resource "google_monitoring_alert_policy" "alert" {
  for_each              = local.inventory.alerts
  display_name          = "${var.service_prefix}-${each.key}"
  combiner              = "OR"
  notification_channels = var.notification_channels

  documentation {
    content   = each.value.about
    mime_type = "text/markdown"
  }

  conditions {
    display_name = each.key

    condition_prometheus_query_language {
      query                     = each.value.query
      duration                  = "${each.value["for"]}s"
      evaluation_interval       = "60s"
      disable_metric_validation = true # a new project has no data
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_monitoring_dashboard" "dashboard" {
  for_each       = toset(local.inventory.dashboards)
  dashboard_json = templatefile("${local.root}/deploy/monitoring/${each.value}.json", local.settings)
  depends_on     = [google_project_service.api]
}

resource "google_monitoring_custom_service" "pipeline" {
  service_id   = var.service_prefix
  display_name = var.service_prefix
  depends_on   = [google_project_service.api]
}

resource "google_monitoring_slo" "executions" {
  service             = google_monitoring_custom_service.pipeline.service_id
  slo_id              = local.inventory.slo.name
  display_name        = local.inventory.slo.about
  goal                = local.inventory.slo.goal
  rolling_period_days = local.inventory.slo.days

  request_based_sli {
    good_total_ratio {
      good_service_filter  = local.inventory.slo.good
      total_service_filter = local.inventory.slo.total
    }
  }

  depends_on = [time_sleep.metrics]
}

resource "google_bigquery_dataset" "logs" {
  dataset_id                      = replace("${var.service_prefix}_${local.inventory.log_sink.name}", "-", "_")
  location                        = var.region
  default_partition_expiration_ms = local.inventory.log_sink.keep_days * 86400000
  delete_contents_on_destroy      = !var.keep_data
  depends_on                      = [google_project_service.api]
}

resource "google_logging_project_sink" "logs" {
  name                   = "${var.service_prefix}-${local.inventory.log_sink.name}"
  destination            = "bigquery.googleapis.com/${google_bigquery_dataset.logs.id}"
  filter                 = local.inventory.log_sink.filter
  unique_writer_identity = true

  bigquery_options {
    use_partitioned_tables = true
  }
}

resource "google_bigquery_dataset_iam_member" "logs" {
  dataset_id = google_bigquery_dataset.logs.dataset_id
  role       = "roles/bigquery.dataEditor"
  member     = google_logging_project_sink.logs.writer_identity
}
