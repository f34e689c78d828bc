# Event delivery to the functions: topics, subscriptions, Eventarc triggers and the scheduler.
resource "google_pubsub_topic" "topic" {
  for_each                   = local.inventory.topics
  name                       = "${var.service_prefix}-${each.key}"
  message_retention_duration = "${each.value.retention_days * 86400}s"
  kms_key_name               = local.kms_key
  depends_on                 = [google_project_service.api]
}

resource "google_pubsub_subscription" "push" {
  for_each                   = local.inventory.push
  name                       = "${var.service_prefix}-${each.key}"
  topic                      = google_pubsub_topic.topic[each.value.topic].id
  ack_deadline_seconds       = each.value.ack_deadline
  message_retention_duration = "${each.value.retention_days * 86400}s"

  # The functions framework reads the topic from the path.
  push_config {
    push_endpoint = "${local.urls[each.value.service]}/${google_pubsub_topic.topic[each.value.topic].id}"
    oidc_token {
      service_account_email = local.accounts["events"]
      audience              = local.urls[each.value.service]
    }
  }

  retry_policy {
    minimum_backoff = "${each.value.backoff[0]}s"
    maximum_backoff = "${each.value.backoff[1]}s"
  }

  dynamic "dead_letter_policy" {
    for_each = try([each.value.dead_letter], [])
    content {
      dead_letter_topic     = google_pubsub_topic.topic[dead_letter_policy.value].id
      max_delivery_attempts = each.value.attempts
    }
  }

  expiration_policy {
    ttl = "" # never
  }
}

resource "google_pubsub_subscription" "pull" {
  for_each                   = local.inventory.pull
  name                       = "${var.service_prefix}-${each.key}"
  topic                      = google_pubsub_topic.topic[each.value.topic].id
  ack_deadline_seconds       = each.value.ack_deadline
  message_retention_duration = "${each.value.retention_days * 86400}s"

  dynamic "cloud_storage_config" {
    for_each = try([each.value.bucket], [])
    content {
      bucket          = local.buckets[cloud_storage_config.value]
      filename_suffix = ".avro"
      max_duration    = "300s"
      avro_config {
        write_metadata = true
      }
    }
  }

  dynamic "retry_policy" {
    for_each = try([each.value.backoff], [])
    content {
      minimum_backoff = "${retry_policy.value[0]}s"
      maximum_backoff = "${retry_policy.value[1]}s"
    }
  }

  dynamic "dead_letter_policy" {
    for_each = try([each.value.dead_letter], [])
    content {
      dead_letter_topic     = google_pubsub_topic.topic[dead_letter_policy.value].id
      max_delivery_attempts = each.value.attempts
    }
  }

  expiration_policy {
    ttl = "" # never
  }

  # Pub/Sub checks that it may write to the bucket.
  depends_on = [time_sleep.permissions]
}

resource "google_storage_notification" "notification" {
  for_each       = local.inventory.notifications
  bucket         = local.buckets[each.value.bucket]
  topic          = google_pubsub_topic.topic[each.value.topic].id
  event_types    = [each.value.event]
  payload_format = each.value.payload

  object_name_prefix = each.value.prefix == "" ? null : each.value.prefix

  # Cloud Storage needs the permission to publish, and messages published before the subscription exists are lost.
  depends_on = [time_sleep.permissions, google_pubsub_topic_iam_member.binding, google_pubsub_subscription.pull, google_pubsub_subscription.push]
}

resource "google_eventarc_trigger" "trigger" {
  for_each        = local.inventory.triggers
  name            = "${var.service_prefix}-${each.key}"
  location        = each.value.location
  service_account = local.accounts["events"]

  matching_criteria {
    attribute = "type"
    value     = each.value.event
  }
  matching_criteria {
    attribute = "bucket"
    value     = local.buckets[each.value.bucket]
  }

  destination {
    cloud_run_service {
      service = google_cloudfunctions2_function.function[each.key].name
      region  = var.region
    }
  }

  # A trigger that is created before its roles is rejected or delivers nothing.
  depends_on = [time_sleep.permissions, google_cloud_run_v2_service_iam_member.binding]
}

resource "google_cloud_scheduler_job" "schedule" {
  for_each  = local.inventory.schedules
  name      = "${var.service_prefix}-${each.key}"
  region    = var.region
  schedule  = each.value.schedule
  time_zone = "Etc/UTC"

  pubsub_target {
    topic_name = google_pubsub_topic.topic[each.value.topic].id
    data       = base64encode(each.value.message)
  }
}
