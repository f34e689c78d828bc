"""A stack whose accounts have one grant each, and a workflow that calls APIs as its own account."""

from pathlib import Path

from emulator.stack.loader import load
from emulator.stack.model import Stack

STACK = """
project: p
buckets: {files: {}, other: {}}
topics: [news]
subscriptions: {news: {topic: news}}
services:
  viewer: {command: [none]}
  creator: {command: [none]}
  user: {command: [none]}
  getter: {command: [none]}
  prefixed: {command: [none]}
  nobody: {command: [none]}
  publisher: {command: [none]}
  subscriber: {command: [none]}
  starter: {command: [none]}
  open: {command: [none], invokers: [allUsers]}
jobs:
  batch: {command: [none], overrides: [A]}
workflows:
  flow:
    source: flow.yaml
    service_account: runner
    env: {API: "http://{http}", JOB: projects/p/locations/us-central1/jobs/batch}
iam:
  roles: {projects/p/roles/getter: [storage.objects.get]}
  grants:
    - {member: viewer, role: roles/storage.objectViewer, resource: bucket/files}
    - {member: creator, role: roles/storage.objectCreator, resource: bucket/files}
    - {member: user, role: roles/storage.objectUser, resource: project}
    - {member: getter, role: projects/p/roles/getter, resource: bucket/files}
    - member: prefixed
      role: roles/storage.objectUser
      resource: bucket/files
      condition: resource.name.startsWith('projects/_/buckets/files/objects/mine/')
    - {member: publisher, role: roles/pubsub.publisher, resource: topic/news}
    - {member: subscriber, role: roles/pubsub.subscriber, resource: subscription/news}
    - {member: starter, role: roles/workflows.invoker, resource: project}
    - {member: starter, role: roles/run.jobsExecutor, resource: job/batch}
    - {member: runner, role: roles/storage.objectViewer, resource: bucket/files}
    - {member: runner, role: roles/run.jobsExecutorWithOverrides, resource: job/batch}
    - {member: runner, role: roles/run.invoker, resource: service/viewer}
"""
FLOW = """
main:
  params: [args]
  steps:
    - call:
        try:
          switch:
            - {condition: '${args.do == "read"}', next: read}
            - {condition: '${args.do == "write"}', next: write}
            - {condition: '${args.do == "bare"}', next: bare}
            - {condition: '${args.do == "run"}', next: run}
        except: {as: error, steps: [{give_up: {return: "${error}"}}]}
    - read:
        try: {call: googleapis.storage.v1.objects.get, args: {bucket: files, object: kept, alt: json}, result: answer}
        except: {as: error, steps: [{no_read: {return: "${error}"}}]}
        next: done
    - write:
        try:
          call: googleapis.storage.v1.objects.insert
          args: {bucket: files, name: x, uploadType: media, body: x}
          result: answer
        except: {as: error, steps: [{no_write: {return: "${error}"}}]}
        next: done
    - bare:
        try: {call: http.get, args: {url: '${sys.get_env("API") + "/storage/v1/b/files/o/kept"}'}, result: answer}
        except: {as: error, steps: [{no_bare: {return: "${error}"}}]}
        next: done
    - run:
        try:
          call: googleapis.run.v2.projects.locations.jobs.run
          args:
            name: ${sys.get_env("JOB")}
            body: {overrides: {taskCount: 1}}
            connector_params: {skip_polling: true}
          result: answer
        except: {as: error, steps: [{no_run: {return: "${error}"}}]}
        next: done
    - done: {return: "${answer}"}
"""
PARENT = "projects/p/locations/us-central1/workflows/flow"
JOB = "projects/p/locations/us-central1/jobs/batch"
TOPIC, SUBSCRIPTION = "projects/p/topics/news", "projects/p/subscriptions/news"


def email(account: str) -> str:
    return f"{account}@p.iam.gserviceaccount.com"


def stack(folder: Path, text: str = STACK) -> Stack:
    (folder / "stack.yaml").write_text(text)
    (folder / "flow.yaml").write_text(FLOW)
    return load(folder / "stack.yaml")
