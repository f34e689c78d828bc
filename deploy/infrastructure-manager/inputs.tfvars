# Any variable of ../terraform/variables.tf; deploy.sh adds project_id and sources.
# gpu_image    = "us-central1-docker.pkg.dev/my-project/images/gpu-service:1"   # required: the image that you built
region         = "us-central1"
service_prefix = "inference"
max_instances  = 2
