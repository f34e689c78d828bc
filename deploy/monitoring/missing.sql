-- Uploads without a document, by the changes that track_objects has Pub/Sub write (deploy/gcloud/missing.sh). An upload whose
-- name is too long for its document's is listed although it may have one: publishing it again changes nothing.
WITH objects AS (
  SELECT DISTINCT
    (SELECT value FROM UNNEST(attributes) WHERE key = 'bucketId') AS bucket,
    (SELECT value FROM UNNEST(attributes) WHERE key = 'objectId') AS name,
    (SELECT value FROM UNNEST(attributes) WHERE key = 'objectGeneration') AS generation
  FROM changes
),
documents AS (
  SELECT DISTINCT REGEXP_EXTRACT(name, r'^(?:results|rejected|failed)/((?s:.*))\.json$') AS document
  FROM objects
  WHERE bucket = '${output_bucket}'
)
SELECT name, generation
FROM objects
LEFT JOIN documents ON document = CONCAT(name, '/', generation)
WHERE bucket = '${input_bucket}'
  AND document IS NULL
  AND NOT ENDS_WITH(name, '.parameters.json')  -- parameters of another object
  AND NOT ENDS_WITH(name, '/')                 -- a folder
  AND SAFE_CAST(generation AS INT64) < UNIX_MICROS(TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL ${hours} HOUR))
ORDER BY generation
