# Any variable of ../terraform/variables.tf; project_id and sources are added by deploy.sh.
region         = "us-central1"
service_prefix = "inference"
max_instances  = 3
