# No warm instances, few instances, hourly sweeps.
project_id         = "my-project"
min_instances      = 0
max_instances      = 2
gpu_concurrency    = 64
postprocess_memory = "512Mi"
sweep_schedule     = "0 * * * *"
