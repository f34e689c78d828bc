"""Points gcloud at the emulator: every API of Google Cloud has an endpoint on this machine, emulated or not."""

import configparser
from pathlib import Path

from emulator.googleapi.absent import PREFIX

EMULATED = {
    "storage": "http://{http}/storage/v1/",
    "pubsub": "http://{http}/",
    "workflows": "http://{http}/",
    "workflowexecutions": "http://{http}/",
    "aiplatform": "http://{http}/",
    "cloudscheduler": "http://{http}/",
    "run": "http://{http}/",
}
# Those of gcloud's properties api_endpoint_overrides.
APIS = frozenset(
    """
    accessapproval accesscontextmanager ai aiplatform alloydb anthosevents anthospolicycontrollerstatus_pa apigateway
    apigee apihub apikeys appconfigmanager appengine apphub artifactregistry assuredworkloads auditmanager authztoolkit
    backupdr baremetalsolution batch beyondcorp bigquery bigquerymigration bigtableadmin binaryauthorization
    categorymanager certificatemanager cloudaicompanion cloudasset cloudbilling cloudbuild
    cloudcommerceconsumerprocurement clouddebugger clouddeploy clouderrorreporting cloudfunctions cloudidentity cloudkms
    cloudlocationfinder cloudnumberregistry cloudquotas cloudresourcemanager cloudresourcesearch cloudscheduler
    cloudshell cloudtasks cloudtrace composer compute configdelivery config connectgateway container containeranalysis
    datacatalog dataflow datafusion datamigration datapipelines dataplex datapol dataproc dataprocgdc datastore
    datastream deploymentmanager designcenter developerconnect discovery dns domains edgecontainer edgenetwork eventarc
    eventarcpublishing faultinjectiontesting file firebasedataconnect firestore geminicloudassist genomics gkebackup
    gkehub gkemulticloud gkeonprem gkerecommender healthcare iam iamcredentials iap ids krmapihosting kubernetespolicy
    language lifesciences logging looker lustre managedflink managedidentities managedkafka manager marketplacesolutions
    mediaasset memcache memorystore messagestreams metastore ml modelarmor monitoring netapp networkconnectivity
    networkmanagement networksecurity networkservices notebooks observability ondemandscanning oracledatabase
    orglifecycle orgpolicy osconfig oslogin parallelstore parametermanager policyanalyzer policysimulator
    policytroubleshooter privateca privilegedaccessmanager publicca pubsub pubsublite recaptchaenterprise recommender
    redis remotebuildexecution replicapoolupdater run runapps runtimeconfig saasservicemgmt sasportal sddc seclm
    secretmanager securesourcemanager securitycenter securitycentermanagement securityposture servicedirectory
    servicemanagement serviceregistry serviceusage source sourcerepo spanner speech sql storage storagebatchoperations
    storageinsights stream telcoautomation testing toolresults tpu transcoder transfer transferappliance vision
    vmmigration vmwareengine vpcaccess workflowexecutions workflows workloadcertificate workstations
    """.split()  # noqa: SIM905
)
_SECTION = "api_endpoint_overrides"


def endpoint(api: str, http: str) -> str:
    """The URL at which gcloud finds an API on the emulator at `host:port`."""
    return EMULATED[api].format(http=http) if api in EMULATED else f"http://{http}{PREFIX}{api}/"


def configure(folder: Path, http: str) -> None:
    """Write the endpoints into the default configuration of a gcloud folder, and keep what else it holds.

    The emulator is also the proxy: gcloud puts a region before the host of Cloud Run's endpoint, a name that only a
    proxy can resolve, and whatever has no endpoint here fails there instead of leaving the machine.
    """
    active = folder / "active_config"
    if not active.exists():
        folder.mkdir(parents=True, exist_ok=True)
        active.write_text("default")
    file = folder / "configurations" / "config_default"
    file.parent.mkdir(parents=True, exist_ok=True)
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(file, encoding="utf-8")
    address, port = http.split(":")
    settings["proxy"] = {"type": "http", "address": address, "port": port}
    settings[_SECTION] = {api: endpoint(api, http) for api in sorted(APIS)}
    with file.open("w", encoding="utf-8") as output:
        settings.write(output)
