# One warm GPU, 34 dollars a day while idle; up to 16 instances.
# These need quotas of 16 L4 GPUs, 140 CPUs and 540 GiB in the region; docs/deployment.md says how to request them.
project_id         = "my-project"
min_instances      = 1
max_instances      = 16
gpu_cpu            = 8
gpu_memory         = "32Gi"
preprocess_memory  = "2Gi"
postprocess_memory = "2Gi"
timeout_seconds    = 1800
job_tasks          = 16
sweep_schedule     = "*/5 * * * *"
