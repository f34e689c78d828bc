# Any variable of ../terraform/variables.tf; deploy.sh adds project_id and sources.
region         = "us-central1"
service_prefix = "inference"
max_instances  = 2
