"""Log-based metrics, alerts, dashboards, the service level objective, and the log sink for reports."""

import json
from typing import Any

import pulumi
import pulumi_gcp as gcp

from deploy.monitoring import bodies
from deploy.pulumi.foundation import Foundation, wait
from deploy.pulumi.system import System


def create(system: System, base: Foundation) -> None:
    after = pulumi.ResourceOptions(depends_on=base.apis)
    metrics: list[pulumi.Resource] = [_log_metric(system, name, after) for name in system["log_metrics"]]
    known = wait(system, "metrics", metrics, [*system["log_metrics"]])
    for name in system["alerts"]:
        _alert(system, name, after)
    for name in system["dashboards"]:
        body = json.dumps(bodies.dashboard(system.inventory, name))
        gcp.monitoring.Dashboard(name, dashboard_json=body, opts=after)
    _objective(system, after, known)
    _reports(system, after)


def _log_metric(system: System, name: str, after: pulumi.ResourceOptions) -> gcp.logging.Metric:
    body = bodies.log_metric(system.inventory, name)
    return gcp.logging.Metric(
        name,
        name=body["name"],
        description=body["description"],
        filter=body["filter"],
        label_extractors=body["labelExtractors"],
        metric_descriptor=gcp.logging.MetricMetricDescriptorArgs(
            metric_kind="DELTA",
            value_type="INT64",
            labels=[
                gcp.logging.MetricMetricDescriptorLabelArgs(key=label["key"], value_type=label["valueType"])
                for label in body["metricDescriptor"]["labels"]
            ],
        ),
        opts=after,
    )


def _alert(system: System, name: str, after: pulumi.ResourceOptions) -> None:
    body = bodies.alert(system.inventory, name)
    gcp.monitoring.AlertPolicy(
        name,
        display_name=body["displayName"],
        combiner=body["combiner"],
        notification_channels=body["notificationChannels"],
        documentation=gcp.monitoring.AlertPolicyDocumentationArgs(
            content=body["documentation"]["content"], mime_type=body["documentation"]["mimeType"]
        ),
        conditions=[
            gcp.monitoring.AlertPolicyConditionArgs(
                display_name=condition["displayName"],
                condition_prometheus_query_language=_query(condition["conditionPrometheusQueryLanguage"]),
            )
            for condition in body["conditions"]
        ],
        opts=after,
    )


def _query(body: dict[str, Any]) -> gcp.monitoring.AlertPolicyConditionConditionPrometheusQueryLanguageArgs:
    return gcp.monitoring.AlertPolicyConditionConditionPrometheusQueryLanguageArgs(
        query=body["query"],
        duration=body["duration"],
        evaluation_interval=body["evaluationInterval"],
        disable_metric_validation=body["disableMetricValidation"],
    )


def _objective(system: System, after: pulumi.ResourceOptions, metrics_known: pulumi.Resource) -> None:
    goal = system["slo"]
    service = gcp.monitoring.CustomService("pipeline", service_id=system.prefix, display_name=system.prefix, opts=after)
    gcp.monitoring.Slo(
        goal["name"],
        service=service.service_id,
        slo_id=goal["name"],
        display_name=goal["about"],
        goal=goal["goal"],
        rolling_period_days=goal["days"],
        request_based_sli=gcp.monitoring.SloRequestBasedSliArgs(
            good_total_ratio=gcp.monitoring.SloRequestBasedSliGoodTotalRatioArgs(
                good_service_filter=goal["good"], total_service_filter=goal["total"]
            )
        ),
        opts=pulumi.ResourceOptions(depends_on=[metrics_known]),
    )


def _reports(system: System, after: pulumi.ResourceOptions) -> None:
    body = bodies.dataset(system.inventory)
    dataset = gcp.bigquery.Dataset(
        "logs",
        dataset_id=body["datasetReference"]["datasetId"],
        location=body["location"],
        default_partition_expiration_ms=int(body["defaultPartitionExpirationMs"]),
        delete_contents_on_destroy=not system.settings["keep_data"],
        opts=after,
    )
    sink = gcp.logging.ProjectSink(
        "logs",
        name=system.name(system["log_sink"]["name"]),
        destination=pulumi.Output.concat("bigquery.googleapis.com/", dataset.id),
        filter=system["log_sink"]["filter"],
        unique_writer_identity=True,
        bigquery_options=gcp.logging.ProjectSinkBigqueryOptionsArgs(use_partitioned_tables=True),
    )
    gcp.bigquery.DatasetIamMember(
        "logs", dataset_id=dataset.dataset_id, role="roles/bigquery.dataEditor", member=sink.writer_identity
    )
