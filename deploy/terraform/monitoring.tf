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

# An alert on a metric that Cloud Monitoring does not know yet is refused.
resource "time_sleep" "metrics" {
  create_duration = "${local.inventory.waits.metrics}s"
  triggers        = { metrics = join(" ", keys(local.inventory.log_metrics)) }
  depends_on      = [google_logging_metric.metric]
}

resource "google_monitoring_alert_policy" "alert" {
  for_each              = local.inventory.alerts
  display_name          = "${var.service_prefix}-${each.key}"
  combiner              = "AND"
  notification_channels = var.notification_channels

  documentation {
    content   = each.value.about
    mime_type = "text/markdown"
  }

  dynamic "conditions" {
    for_each = each.value.conditions
    content {
      display_name = "${each.key} ${conditions.key}"

      condition_threshold {
        filter                  = conditions.value.filter
        comparison              = can(conditions.value.above) ? "COMPARISON_GT" : "COMPARISON_LT"
        threshold_value         = try(conditions.value.above, conditions.value.below)
        duration                = "${conditions.value["for"]}s"
        denominator_filter      = try(conditions.value.per, null)
        evaluation_missing_data = try("EVALUATION_MISSING_DATA_${upper(conditions.value.when_silent)}", null)

        aggregations {
          alignment_period     = "${conditions.value.period}s"
          per_series_aligner   = conditions.value.align
          cross_series_reducer = conditions.value.reduce
        }

        dynamic "denominator_aggregations" {
          for_each = can(conditions.value.per) ? [conditions.value] : []
          content {
            alignment_period     = "${denominator_aggregations.value.period}s"
            per_series_aligner   = denominator_aggregations.value.align
            cross_series_reducer = denominator_aggregations.value.reduce
          }
        }
      }
    }
  }

  depends_on = [google_project_service.api, time_sleep.metrics]
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
