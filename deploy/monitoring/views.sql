-- Views for reports, on the tables that the log sink fills. Cloud Logging creates a table with its first line, so create the
-- views once the first job has finished: deploy/gcloud/deploy.sh views
CREATE OR REPLACE VIEW `${project_id}.${dataset}.jobs` AS
SELECT
  timestamp,
  jsonPayload.job AS job,
  jsonPayload.kind AS kind,
  jsonPayload.status AS status
FROM `${project_id}.${dataset}.Workflows`
WHERE jsonPayload.message = 'job finished';

CREATE OR REPLACE VIEW `${project_id}.${dataset}.rejections` AS
SELECT
  timestamp,
  resource.labels.service_name AS service,
  jsonPayload.job AS job,
  jsonPayload.kind AS kind,
  jsonPayload.reason AS reason
FROM `${project_id}.${dataset}.run_googleapis_com_stdout`
WHERE jsonPayload.message = 'rejected';
