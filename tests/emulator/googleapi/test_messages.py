import pytest
from google.cloud.run_v2 import types as run
from google.pubsub_v1 import types as pubsub

from emulator.googleapi.errors import InvalidArgumentError
from emulator.googleapi.messages import as_json, read

RUN, SUBSCRIPTION = run.RunJobRequest.pb(), pubsub.Subscription.pb()


@pytest.mark.parametrize(
    ("kind", "fields", "canonical"),
    [
        (
            RUN,
            {"overrides": {"task_count": "2", "timeout": "1.50s"}},
            {"overrides": {"taskCount": 2, "timeout": "1.500s"}},
        ),
        (RUN, {"validateOnly": False, "etag": None, "overrides": {}}, {"overrides": {}}),
        (SUBSCRIPTION, {"state": 1, "labels": {"a": "b"}}, {"state": "ACTIVE", "labels": {"a": "b"}}),
        (pubsub.PublishRequest.pb(), {"messages": [{"data": "YQ=="}, {}]}, {"messages": [{"data": "YQ=="}, {}]}),
    ],
)
def test_json_is_read_and_written_as_google_does(kind, fields, canonical):
    assert as_json(read(kind, fields)) == canonical


@pytest.mark.parametrize(
    ("kind", "fields", "message", "field"),
    [
        (RUN, {"colour": 1}, 'Invalid JSON payload received. Unknown name "colour": Cannot find field.', ""),
        (RUN, {"overrides": {"tasks": 1}}, "Unknown name \"tasks\" at 'overrides': Cannot find field.", "overrides"),
        (
            RUN,
            {"overrides": "x"},
            "Invalid value at 'overrides' (google.cloud.run.v2.RunJobRequest.Overrides), \"x\"",
            None,
        ),
        (RUN, {"overrides": {"taskCount": 1.5}}, "Invalid value at 'overrides.task_count' (TYPE_INT32), 1.5", None),
        (RUN, {"overrides": {"containerOverrides": [{}, 3]}}, "'overrides.container_overrides[1]'", None),
        (RUN, {"overrides": {"containerOverrides": {}}}, "'overrides.container_overrides' (", None),
        (RUN, {"validateOnly": "true"}, "Invalid value at 'validate_only' (TYPE_BOOL), \"true\"", None),
        (
            SUBSCRIPTION,
            {"labels": [1]},
            "Invalid value at 'labels' (google.pubsub.v1.Subscription.LabelsEntry), [1]",
            None,
        ),
        (SUBSCRIPTION, {"labels": {"a": 1}}, "Invalid value at 'labels'", None),
        (
            SUBSCRIPTION,
            {"state": "GONE"},
            "Invalid value at 'state' (google.pubsub.v1.Subscription.State), \"GONE\"",
            None,
        ),
        (
            SUBSCRIPTION,
            {"messageRetentionDuration": 5},
            "'message_retention_duration' (google.protobuf.Duration), 5",
            None,
        ),
        (SUBSCRIPTION, {"name": "\ud800"}, "Invalid value at 'name' (TYPE_STRING)", None),
    ],
)
def test_invalid_fields_are_refused_with_their_path(kind, fields, message, field):
    with pytest.raises(InvalidArgumentError) as refusal:
        read(kind, fields)
    assert message in refusal.value.message
    assert field is None or refusal.value.field == field
