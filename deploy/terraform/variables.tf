# The names, defaults and limits of ../variables.yaml; a test compares the two files.

variable "project_id" {
  description = "Id of the project to deploy to."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must match ^[a-z][a-z0-9-]{4,28}[a-z0-9]$."
  }
}

variable "region" {
  description = "Region of every resource; Cloud Run must offer the GPU there, if gpu_type names one."
  type        = string
  default     = "us-central1"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must match ^[a-z]+-[a-z]+[0-9]+$."
  }
}

variable "zone" {
  description = "Default zone of the provider; nothing here is zonal."
  type        = string
  default     = "us-central1-a"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+-[a-z]$", var.zone))
    error_message = "zone must match ^[a-z]+-[a-z]+[0-9]+-[a-z]$."
  }
}

variable "service_prefix" {
  description = "Prefix of every resource name, 2 to 15 characters, so that several deployments can share a project."
  type        = string
  default     = "inference"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,13}[a-z0-9]$", var.service_prefix))
    error_message = "service_prefix must match ^[a-z][a-z0-9-]{0,13}[a-z0-9]$."
  }
}

variable "gpu_image" {
  description = "Image of the GPU service; deploy.sh builds it if this is empty, and the other routes require it."
  type        = string

  validation {
    condition     = var.gpu_image != "" && can(regex("^(|[a-z0-9.-]+/.+)$", var.gpu_image))
    error_message = "gpu_image must match ^[a-z0-9.-]+/.+$: build the image first, as docs/deployment.md says."
  }
}

variable "gpu_profile" {
  description = "Profile of gpu_service/models.json to include in the image, and to serve unless the variable models is set."
  type        = string
  default     = "hub"

  validation {
    condition     = can(regex("^[a-z0-9-]+$", var.gpu_profile))
    error_message = "gpu_profile must match ^[a-z0-9-]+$."
  }
}

variable "models" {
  description = "models.json to serve, as gs://bucket/models.json, or a path in the image; empty for the included one."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(|gs://[^/]+/.+|/.+)$", var.models))
    error_message = "models must match ^(|gs://[^/]+/.+|/.+)$."
  }
}

variable "models_profile" {
  description = "Profile of the variable models to serve; empty for its only one."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]*$", var.models_profile))
    error_message = "models_profile must match ^[A-Za-z0-9._-]*$."
  }
}

variable "hub_token_secret" {
  description = "Secret in Secret Manager with a token for private repositories of the Hugging Face hub; empty for none."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]*$", var.hub_token_secret))
    error_message = "hub_token_secret must match ^[A-Za-z0-9_-]*$."
  }
}

variable "notifications_secret" {
  description = "Secret in Secret Manager with the file of endpoints that are told of documents (docs/notifications.md); empty for none."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]*$", var.notifications_secret))
    error_message = "notifications_secret must match ^[A-Za-z0-9_-]*$."
  }
}

variable "vertex_predict_role" {
  description = "Your role with the permission aiplatform.endpoints.predict alone, for models on endpoints of Vertex AI; empty for none."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(|(projects|organizations)/[^/]+/roles/[A-Za-z0-9_.]+|roles/aiplatform[.][A-Za-z]+)$", var.vertex_predict_role))
    error_message = "vertex_predict_role must match ^(|(projects|organizations)/[^/]+/roles/[A-Za-z0-9_.]+|roles/aiplatform[.][A-Za-z]+)$."
  }
}

variable "vertex_registry_role" {
  description = "Your role with the permissions aiplatform.models.get, list, update and upload alone, with which promote moves aliases in Vertex AI's Model Registry; empty for none."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(|(projects|organizations)/[^/]+/roles/[A-Za-z0-9_.]+|roles/aiplatform[.][A-Za-z]+)$", var.vertex_registry_role))
    error_message = "vertex_registry_role must match ^(|(projects|organizations)/[^/]+/roles/[A-Za-z0-9_.]+|roles/aiplatform[.][A-Za-z]+)$."
  }
}

variable "gpu_parameters" {
  description = "Defaults of the parameters that an input may have, as name=value, separated by commas; docs/messages.md lists them."
  type        = string
  default     = "top_k=5,high_confidence=0.8,requires_review=0.6"

  validation {
    condition     = can(regex("^(|[a-z_]+=[^,=]+(,[a-z_]+=[^,=]+)*)$", var.gpu_parameters))
    error_message = "gpu_parameters must match ^(|[a-z_]+=[^,=]+(,[a-z_]+=[^,=]+)*)$."
  }
}

variable "max_tokens" {
  description = "Most tokens of a text that a model reads; the rest is cut off."
  type        = number
  default     = 4096

  validation {
    condition     = can(regex("^[1-9][0-9]{1,6}$", var.max_tokens))
    error_message = "max_tokens must match ^[1-9][0-9]{1,6}$."
  }
}

variable "model_memory_bytes" {
  description = "Memory for models that load when they are needed, on the GPU or of the process; 0 for half of what is free at the start."
  type        = number
  default     = 0

  validation {
    condition     = can(regex("^(0|[1-9][0-9]{0,13})$", var.model_memory_bytes))
    error_message = "model_memory_bytes must match ^(0|[1-9][0-9]{0,13})$."
  }
}

variable "load_wait_seconds" {
  description = "Seconds for which a request waits for a model that loads; less than the workflow waits for an answer."
  type        = number
  default     = 60

  validation {
    condition     = can(regex("^([1-9]|[1-9][0-9]|1[01][0-9])$", var.load_wait_seconds))
    error_message = "load_wait_seconds must match ^([1-9]|[1-9][0-9]|1[01][0-9])$."
  }
}

variable "models_refresh_seconds" {
  description = "Seconds between two looks of the GPU service at models.json."
  type        = number
  default     = 30

  validation {
    condition     = can(regex("^[1-9][0-9]{0,4}$", var.models_refresh_seconds))
    error_message = "models_refresh_seconds must match ^[1-9][0-9]{0,4}$."
  }
}

variable "gpu_regions" {
  description = "Regions of the GPU service and of the GPU job, over which inputs are spread by gpu_region_weights. Empty means only the variable region."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for region in var.gpu_regions : can(regex("^[a-z]+-[a-z]+[0-9]+$", region))])
    error_message = "gpu_regions must match ^[a-z]+-[a-z]+[0-9]+$."
  }
}

variable "gpu_region_weights" {
  description = "Whole numbers by which inputs are spread over gpu_regions, such as the quotas of GPUs there; 0 for a region that only stands in for others. Empty means equal ones."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for weight in var.gpu_region_weights : can(regex("^[0-9]{1,9}$", weight))])
    error_message = "gpu_region_weights must match ^[0-9]{1,9}$."
  }
}

variable "gpu_type" {
  description = "The GPU of each instance; none runs the same service and job on CPUs."
  type        = string
  default     = "nvidia-l4"

  validation {
    condition     = can(regex("^(none|nvidia-l4|nvidia-rtx-pro-6000)$", var.gpu_type))
    error_message = "gpu_type must match ^(none|nvidia-l4|nvidia-rtx-pro-6000)$."
  }
}

variable "gpu_memory" {
  description = "Memory of a GPU instance; empty for what gpu_type needs: none 8Gi, an L4 16Gi, an RTX PRO 6000 80Gi."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(|[1-9][0-9]*Gi)$", var.gpu_memory))
    error_message = "gpu_memory must match ^(|[1-9][0-9]*Gi)$."
  }
}

variable "gpu_cpu" {
  description = "CPUs of a GPU instance; 0 for what gpu_type needs: none 4, an L4 4, an RTX PRO 6000 20."
  type        = number
  default     = 0

  validation {
    condition     = can(regex("^(0|1|2|4|6|8|20|22|24|26|28|30|44)$", var.gpu_cpu))
    error_message = "gpu_cpu must match ^(0|1|2|4|6|8|20|22|24|26|28|30|44)$."
  }
}

variable "gpu_concurrency" {
  description = "Concurrent requests per GPU instance; the service batches them."
  type        = number
  default     = 32

  validation {
    condition     = can(regex("^[1-9][0-9]{0,2}$", var.gpu_concurrency))
    error_message = "gpu_concurrency must match ^[1-9][0-9]{0,2}$."
  }
}

variable "gpu_usd_per_second" {
  description = "Price of a GPU instance per second in USD, for the cost in documents; 0 for that of deploy/machines.yaml."
  type        = number
  default     = 0

  validation {
    condition     = can(regex("^[0-9.]+$", var.gpu_usd_per_second))
    error_message = "gpu_usd_per_second must match ^[0-9.]+$."
  }
}

variable "gpu_revision" {
  description = "Revision of the GPU service that keeps all traffic while a newer one is tried under the tag candidate, or after a rollback; empty for the latest."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[a-z0-9-]*$", var.gpu_revision))
    error_message = "gpu_revision must match ^[a-z0-9-]*$."
  }
}

variable "preprocess_memory" {
  description = "Memory of the preprocess function, which handles one input at a time and holds a JSON document of up to 32 MiB whole."
  type        = string
  default     = "1Gi"

  validation {
    condition     = can(regex("^[1-9][0-9]?Gi$", var.preprocess_memory))
    error_message = "preprocess_memory must match ^[1-9][0-9]?Gi$."
  }
}

variable "postprocess_memory" {
  description = "Memory of the postprocess function."
  type        = string
  default     = "1Gi"

  validation {
    condition     = can(regex("^(512Mi|[1-9][0-9]?Gi)$", var.postprocess_memory))
    error_message = "postprocess_memory must match ^(512Mi|[1-9][0-9]?Gi)$."
  }
}

variable "min_instances" {
  description = "Minimum number of GPU instances, billed while idle."
  type        = number
  default     = 0

  validation {
    condition     = can(regex("^[0-9]+$", var.min_instances))
    error_message = "min_instances must match ^[0-9]+$."
  }
}

variable "max_instances" {
  description = "Maximum number of GPU instances; two fit a new project's quotas of GPUs, CPUs and memory."
  type        = number
  default     = 2

  validation {
    condition     = can(regex("^[1-9][0-9]{0,2}$", var.max_instances))
    error_message = "max_instances must match ^[1-9][0-9]{0,2}$."
  }
}

variable "timeout_seconds" {
  description = "Timeout of requests to the GPU service, such as shards of batches; Workflows allows 1,800 s."
  type        = number
  default     = 900

  validation {
    condition     = can(regex("^([6-9][0-9]|[1-9][0-9]{2}|1[0-7][0-9]{2}|1800)$", var.timeout_seconds))
    error_message = "timeout_seconds must match ^([6-9][0-9]|[1-9][0-9]{2}|1[0-7][0-9]{2}|1800)$."
  }
}

variable "job_tasks" {
  description = "Concurrent tasks of the GPU job, each with a GPU; two fit a new project's quotas."
  type        = number
  default     = 2

  validation {
    condition     = can(regex("^[1-9][0-9]{0,2}$", var.job_tasks))
    error_message = "job_tasks must match ^[1-9][0-9]{0,2}$."
  }
}

variable "job_threshold_records" {
  description = "Number of records above which a batch uses the GPU job instead of the GPU service."
  type        = number
  default     = 100000

  validation {
    condition     = can(regex("^[1-9][0-9]*$", var.job_threshold_records))
    error_message = "job_threshold_records must match ^[1-9][0-9]*$."
  }
}

variable "max_executions_per_hour" {
  description = "Maximum number of executions started per hour, which limits the cost of loops; 0 for no limit."
  type        = number
  default     = 10000

  validation {
    condition     = can(regex("^(0|[1-9][0-9]*)$", var.max_executions_per_hour))
    error_message = "max_executions_per_hour must match ^(0|[1-9][0-9]*)$."
  }
}

variable "tenants" {
  description = "What tells tenants apart, so that the flood of one does not delay others: folder, the first part of an object's name, or a key of metadata; empty for nothing."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]*$", var.tenants))
    error_message = "tenants must match ^[A-Za-z0-9._-]*$."
  }
}

variable "tenant_share" {
  description = "Part of max_executions_per_hour, above 0 and at most 1, that a tenant has in an hour, in inputs, before the inputs of others come first."
  type        = number
  default     = 0.1

  validation {
    condition     = can(regex("^(1|0[.]0{0,3}[1-9][0-9]{0,3})$", var.tenant_share))
    error_message = "tenant_share must match ^(1|0[.]0{0,3}[1-9][0-9]{0,3})$."
  }
}

variable "max_collections" {
  description = "Most collections of waiting inputs at the same time, at most 32 and fewer than the messages that on-message handles at the same time."
  type        = number
  default     = 4

  validation {
    condition     = can(regex("^([1-9]|[12][0-9]|3[0-2])$", var.max_collections))
    error_message = "max_collections must match ^([1-9]|[12][0-9]|3[0-2])$."
  }
}

variable "existing_input_bucket" {
  description = "Bucket of this project to take uploads from; empty for one of the deployment's own. It is never changed or deleted, except for permissions."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(|[a-z0-9][a-z0-9._-]{1,61}[a-z0-9])$", var.existing_input_bucket))
    error_message = "existing_input_bucket must match ^(|[a-z0-9][a-z0-9._-]{1,61}[a-z0-9])$."
  }
}

variable "existing_input_location" {
  description = "Location of existing_input_bucket, such as us or europe-west4, where its events are received; empty for the variable region."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[a-z0-9-]*$", var.existing_input_location))
    error_message = "existing_input_location must match ^[a-z0-9-]*$."
  }
}

variable "input_storage_class" {
  description = "Storage class of uploads; sweeps list them again and again, which other classes charge more for."
  type        = string
  default     = "STANDARD"

  validation {
    condition     = can(regex("^(STANDARD|NEARLINE|COLDLINE|ARCHIVE)$", var.input_storage_class))
    error_message = "input_storage_class must match ^(STANDARD|NEARLINE|COLDLINE|ARCHIVE)$."
  }
}

variable "output_storage_class" {
  description = "Storage class of documents and data."
  type        = string
  default     = "STANDARD"

  validation {
    condition     = can(regex("^(STANDARD|NEARLINE|COLDLINE|ARCHIVE)$", var.output_storage_class))
    error_message = "output_storage_class must match ^(STANDARD|NEARLINE|COLDLINE|ARCHIVE)$."
  }
}

variable "input_delete_after" {
  description = "Days after which uploads are deleted; 0 for never."
  type        = number
  default     = 0

  validation {
    condition     = can(regex("^(0|[1-9][0-9]{0,4})$", var.input_delete_after))
    error_message = "input_delete_after must match ^(0|[1-9][0-9]{0,4})$."
  }
}

variable "output_delete_after" {
  description = "Days after which documents and data are deleted; 0 for never, otherwise at least 7 more than input_delete_after, since an upload without a document is processed again."
  type        = number
  default     = 0

  validation {
    condition     = can(regex("^(0|[1-9][0-9]{0,4})$", var.output_delete_after))
    error_message = "output_delete_after must match ^(0|[1-9][0-9]{0,4})$."
  }
}

variable "noncurrent_delete_after" {
  description = "Days after which overwritten or deleted versions of documents and models are deleted; 0 for never."
  type        = number
  default     = 0

  validation {
    condition     = can(regex("^(0|[1-9][0-9]{0,4})$", var.noncurrent_delete_after))
    error_message = "noncurrent_delete_after must match ^(0|[1-9][0-9]{0,4})$."
  }
}

variable "soft_delete_days" {
  description = "Days in which deleted uploads, documents and models can be restored; 0 or 7 to 90, billed like other data."
  type        = number
  default     = 7

  validation {
    condition     = can(regex("^(0|[7-9]|[1-8][0-9]|90)$", var.soft_delete_days))
    error_message = "soft_delete_days must match ^(0|[7-9]|[1-8][0-9]|90)$."
  }
}

variable "report_days" {
  description = "Days for which log lines of finished jobs are kept for reports in BigQuery."
  type        = number
  default     = 400

  validation {
    condition     = can(regex("^[1-9][0-9]{0,4}$", var.report_days))
    error_message = "report_days must match ^[1-9][0-9]{0,4}$."
  }
}

variable "ingress" {
  description = "Network access to the services: all (IAM controls calls) or internal (this project's networks, Pub/Sub, Eventarc, Workflows)."
  type        = string
  default     = "all"

  validation {
    condition     = can(regex("^(all|internal)$", var.ingress))
    error_message = "ingress must match ^(all|internal)$."
  }
}

variable "vpc_connector" {
  description = "Serverless VPC Access connector, projects/P/locations/R/connectors/C, for private traffic; empty for none."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(|projects/[^/]+/locations/[^/]+/connectors/[^/]+)$", var.vpc_connector))
    error_message = "vpc_connector must match ^(|projects/[^/]+/locations/[^/]+/connectors/[^/]+)$."
  }
}

variable "vpc_network" {
  description = "Network, projects/P/global/networks/N, to which the GPU service and job connect directly instead of by the connector; empty for none."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(|projects/[^/]+/global/networks/[^/]+)$", var.vpc_network))
    error_message = "vpc_network must match ^(|projects/[^/]+/global/networks/[^/]+)$."
  }
}

variable "vpc_subnetwork" {
  description = "Subnetwork of vpc_network in the region of the GPU, projects/P/regions/R/subnetworks/S; required with vpc_network."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(|projects/[^/]+/regions/[^/]+/subnetworks/[^/]+)$", var.vpc_subnetwork))
    error_message = "vpc_subnetwork must match ^(|projects/[^/]+/regions/[^/]+/subnetworks/[^/]+)$."
  }
}

variable "vpc_egress" {
  description = "Traffic that takes the connector or network: private-ranges-only or all-traffic."
  type        = string
  default     = "private-ranges-only"

  validation {
    condition     = can(regex("^(private-ranges-only|all-traffic)$", var.vpc_egress))
    error_message = "vpc_egress must match ^(private-ranges-only|all-traffic)$."
  }
}

variable "kms_key" {
  description = "Key in Cloud KMS that encrypts buckets, topics, images, functions, services, workflow and reports, projects/P/locations/R/keyRings/K/cryptoKeys/C in the variable region; empty for Google's keys."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(|projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+)$", var.kms_key))
    error_message = "kms_key must match ^(|projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+)$."
  }
}

variable "reports" {
  description = "Whether a log sink fills a BigQuery dataset for reports."
  type        = bool
  default     = true
}

variable "build_region" {
  description = "Region in which deploy.sh builds the GPU image, where Cloud Build is restricted in the variable region; empty for that one."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(|[a-z]+-[a-z]+[0-9]+)$", var.build_region))
    error_message = "build_region must match ^(|[a-z]+-[a-z]+[0-9]+)$."
  }
}

variable "build_worker_pool" {
  description = "Private pool of Cloud Build for the functions, projects/P/locations/R/workerPools/W; empty for the shared one."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(|projects/[^/]+/locations/[^/]+/workerPools/[^/]+)$", var.build_worker_pool))
    error_message = "build_worker_pool must match ^(|projects/[^/]+/locations/[^/]+/workerPools/[^/]+)$."
  }
}

variable "sweep_schedule" {
  description = "Cron schedule of the sweep for lost inputs, in UTC."
  type        = string
  default     = "*/15 * * * *"

  validation {
    condition     = can(regex("^([^ ]+ ){4}[^ ]+$", var.sweep_schedule))
    error_message = "sweep_schedule must match ^([^ ]+ ){4}[^ ]+$."
  }
}

variable "track_objects" {
  description = "Whether a bucket of changes notes every upload and document, so that missing.sh finds uploads without a document instead of the sweep, which lists them; for tens of millions of objects."
  type        = bool
  default     = false
}

variable "keep_latest" {
  description = "Whether latest/ of the output bucket holds a copy of each object's newest document; without it, an input takes one write less."
  type        = bool
  default     = true
}

variable "micro_batching" {
  description = "Whether uploads wait for up to a minute and share executions instead of starting one each immediately."
  type        = bool
  default     = false
}

variable "max_wait" {
  description = "How long an uploaded text or image may wait to be predicted together with others, by the service or the job, as 90s, 15m or 1h, at most 24h; for other prefixes as in 0,nightly/=1h. An input's own max_wait takes precedence."
  type        = string
  default     = "0"

  validation {
    condition     = can(regex("^(|([A-Za-z0-9 ._/-]+=)?(0|[1-9][0-9]{0,3}s?|[1-9][0-9]{0,2}m|([1-9]|1[0-9]|2[0-4])h)(,([A-Za-z0-9 ._/-]+=)?(0|[1-9][0-9]{0,3}s?|[1-9][0-9]{0,2}m|([1-9]|1[0-9]|2[0-4])h))*)$", var.max_wait))
    error_message = "max_wait must match ^(|([A-Za-z0-9 ._/-]+=)?(0|[1-9][0-9]{0,3}s?|[1-9][0-9]{0,2}m|([1-9]|1[0-9]|2[0-4])h)(,([A-Za-z0-9 ._/-]+=)?(0|[1-9][0-9]{0,3}s?|[1-9][0-9]{0,2}m|([1-9]|1[0-9]|2[0-4])h))*)$."
  }
}

variable "notification_channels" {
  description = "Monitoring channels for alerts, projects/P/notificationChannels/N."
  type        = list(string)
  default     = []
}

variable "billing_account" {
  description = "Billing account of the budget; empty for no budget."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(|[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6})$", var.billing_account))
    error_message = "billing_account must match ^(|[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6})$."
  }
}

variable "budget_amount" {
  description = "Monthly budget; billing administrators get mail at 50, 90 and 100 percent."
  type        = number
  default     = 100

  validation {
    condition     = can(regex("^[1-9][0-9]*$", var.budget_amount))
    error_message = "budget_amount must match ^[1-9][0-9]*$."
  }
}

variable "budget_currency" {
  description = "Currency of budget_amount, such as EUR, which must be the billing account's; empty for that one."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(|[A-Z]{3})$", var.budget_currency))
    error_message = "budget_currency must match ^(|[A-Z]{3})$."
  }
}

variable "audit_logs" {
  description = "Whether to log reads and writes of bucket data; billed by volume."
  type        = bool
  default     = false
}

variable "keep_data" {
  description = "Whether destroying keeps the buckets of inputs, outputs and models; false deletes them and their contents."
  type        = bool
  default     = true
}

variable "sources" {
  description = "Path from this folder to the repository's root, with deploy/, workflow.yaml and the staged build/functions/."
  type        = string
  default     = "../.."
}
