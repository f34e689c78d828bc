# The smallest deployment: a text takes a minute when a GPU instance has to start.
project_id    = "my-project"
max_instances = 1
gpu_profile   = "starter"
budget_amount = 20
keep_data     = false
