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

-- What each input cost, once, by the estimate in its document. A repeated call of postprocess logs it again.
CREATE OR REPLACE VIEW `${project_id}.${dataset}.costs` AS
SELECT timestamp, job, kind, status, model, version, inferences, gpu_seconds, usd, batching_saves_usd
FROM (
  SELECT
    timestamp,
    jsonPayload.job AS job,
    jsonPayload.kind AS kind,
    jsonPayload.status AS status,
    jsonPayload.model AS model,
    jsonPayload.version AS version,
    jsonPayload.inferences AS inferences,
    jsonPayload.gpu_seconds AS gpu_seconds,
    jsonPayload.usd AS usd,
    jsonPayload.batching_saves_usd AS batching_saves_usd,
    ROW_NUMBER() OVER (PARTITION BY jsonPayload.job ORDER BY timestamp DESC) AS newest
  FROM `${project_id}.${dataset}.run_googleapis_com_stdout`
  WHERE jsonPayload.message = 'concluded'
)
WHERE newest = 1;

-- The figures of `einf cost --measured` by day, model and version. Idle time belongs to none: it is on the dashboard cost.
CREATE OR REPLACE VIEW `${project_id}.${dataset}.cost_figures` AS
SELECT
  DATE(timestamp) AS day,
  model,
  version,
  COUNT(*) AS inputs,
  SUM(inferences) AS inferences,
  SUM(gpu_seconds) AS gpu_seconds,
  SUM(usd) AS usd,
  SAFE_DIVIDE(SUM(usd), SUM(inferences)) AS usd_per_inference,
  1000 * SAFE_DIVIDE(SUM(usd), COUNT(*)) AS usd_per_1000_inputs,
  SUM(batching_saves_usd) AS batching_saves_usd
FROM `${project_id}.${dataset}.costs`
GROUP BY day, model, version;
