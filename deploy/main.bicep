targetScope = 'subscription'

@description('Name of this deployment, such as `prod`: all that is made is called after it.')
@minLength(2)
@maxLength(12)
param environmentName string

@description('Where all of it lies. It needs quota for the GPUs; see README.md.')
param location string

@description('Whether the scale set exists already: then the number of its machines is kept. hooks/preprovision.sh finds out; a wrong `false` removes all machines.')
param fleetExists bool

@description('Tag of the images in the registry. Empty at first: that makes all but the apps and the fleet, which need images.')
param imageTag string = ''

@description('Tag of the image of Prometheus in the registry.')
param prometheusTag string = 'v3.5.0'

@description('GPU of the workers. `v100` is for the record: Azure retired that size on 2025-09-30.')
@allowed(['t4', 'a10', 'a100', 'h100', 'v100'])
param gpu string = 't4'

@description('`Spot` costs about a third, and Azure may take machines away at any time: their batches go back to the line.')
@allowed(['Spot', 'Regular'])
param priority string = 'Spot'

@description('Whether machines are resources of their own (`Flexible`), or parts of the scale set (`Uniform`). Fixed for good when it is made.')
@allowed(['Uniform', 'Flexible'])
param orchestrationMode string = 'Flexible'

@description('Fewest machines, as long as nobody has set the fleet by the API.')
@minValue(0)
param fleetMin int = 0

@description('Most machines, as long as nobody has set the fleet by the API.')
@minValue(0)
@maxValue(1000)
param fleetMax int = 4

@description('Most machines that the fleet may be set to, by whoever may use the API: `fleetMax` or more.')
@minValue(0)
@maxValue(1000)
param fleetCeiling int = max(fleetMax, 20)

@description('Image of the machines: `id` of one of your own, or publisher, offer, sku and version. It has the GPU\'s driver, Docker, NVIDIA\'s runtime and jq. One of your own: let the autoscaler\'s identity read it.')
param machineImage object = {
  publisher: 'microsoft-dsvm'
  offer: 'ubuntu-hpc'
  sku: '2204'
  version: 'latest'
}

@description('Whether machines have a virtual TPM and measure how they start, where the size can. The image has to allow for it.')
param trustedLaunch bool = true

@description('Whether such machines start what is signed alone. The image\'s driver has to be signed, then.')
param secureBoot bool = false

@description('Whether a policy denies everybody to make machines of the fleet anything else. Makes a change of size or image wait for half an hour.')
param guardFleet bool = true

@description('Public key of whoever may sign in to machines, such as `ssh-ed25519 AAAA…`: Azure wants one. It opens nothing without `adminAddresses`.')
param sshPublicKey string

@description('Addresses or ranges from which machines are signed in to by SSH, of a network that is joined to this one. Empty: nobody signs in.')
param adminAddresses string[] = []

@description('Addresses or ranges of those who put videos in, fetch them, or put images in, of a network that is joined to this one. Empty: nothing but the roles reaches the accounts.')
param clientAddresses string[] = []

@description('Size of Redis: `Balanced_B1` has 1 GB, enough for hundreds of thousands of batches in line. At most 25 GB, as it is not clustered.')
param redisSku string = 'Balanced_B1'

@description('Copies of what is stored: `Standard_ZRS` over three zones, `Standard_LRS` where there are none.')
@allowed(['Standard_ZRS', 'Standard_LRS', 'Standard_GZRS'])
param storageSku string = 'Standard_ZRS'

@description('Addresses of the network, a /16.')
param addresses string = '10.60.0.0/16'

@description('Whose tokens the API takes, to the letter as they say it: the tenant\'s own.')
param apiIssuer string = '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'

@description('Whom such tokens are to be for: the application that hooks/app-registration.sh has made, by its id.')
@minLength(1)
param apiAudience string

@description('Whether the API is reached from the Internet, where it still takes a token of the tenant. Else it is reached from the network: by peering or a VPN.')
param publicApi bool = false

@description('Producers: each answers the API, and cuts several videos at once. All run all the time.')
@minValue(1)
@maxValue(10)
param producers int = 2

@description('Stitchers: each joins several videos at once. All run all the time.')
@minValue(1)
@maxValue(10)
param stitchers int = 2

@description('Addresses or ranges that may reach the API. Empty: all that come so far.')
param apiAddresses string[] = []

@description('Addresses or ranges from which images are put into the registry. Empty: only from `clientAddresses`.')
param builderAddresses string[] = []

@description('Hosts besides the media account where sources and outputs may lie, separated by commas.')
param sourceHosts string = ''

@description('Size in GiB of a share for temporary files, 100 or more, for videos larger than 2 GB. 0: the apps\' own disks.')
param scratchGiB int = 0

@description('After so many days jobs are removed, with outputs that lie under `jobs/`; 0 keeps them for ever.')
@minValue(0)
param keepJobsDays int = 0

@description('After so many days log lines are removed from the system account; 0 keeps them for ever.')
@minValue(0)
param keepLogsDays int = 30

@description('After so many days readings of devices are removed; 0 keeps them for ever.')
@minValue(0)
param keepReadingsDays int = 0

@description('What an hour of one worker costs, in your currency, which is shown with the fleet and each job; 0 shows no cost. See prices/.')
param workerHourPrice string = '0'

@description('Who is written to when an alert goes off, or money runs out.')
@minLength(1)
param emails string[]

@description('What all of it may cost a month, in the currency of the subscription: it warns, and stops nothing. `fleetCeiling` bounds.')
param monthlyBudget int

@description('First day of the budget: the first of a month. The first deployment\'s is to be kept.')
param budgetStart string

var presets = {
  t4: loadJsonContent('presets/t4.json')
  a10: loadJsonContent('presets/a10.json')
  a100: loadJsonContent('presets/a100.json')
  h100: loadJsonContent('presets/h100.json')
  v100: loadJsonContent('presets/v100.json')
}
var preset = presets[gpu]
var prefix = 'ff-${environmentName}'
var hash = uniqueString(subscription().id, environmentName, location)
var tags = { 'azd-env-name': environmentName, project: 'framefleet' }
var names = {
  group: 'rg-${environmentName}'
  fleetGroup: 'rg-${environmentName}-fleet'
  fleet: '${prefix}-fleet'
  network: '${prefix}-net'
  media: 'ffmedia${hash}'
  system: 'ffsystem${hash}'
  scratch: 'ffscratch${hash}'
  registry: 'ff${hash}'
  redis: '${prefix}-${hash}'
  events: '${prefix}-arrivals'
  guard: '${prefix}-fleet-guard'
}
var identityNames = {
  producer: '${prefix}-producer'
  worker: '${prefix}-worker'
  stitcher: '${prefix}-stitcher'
  autoscaler: '${prefix}-autoscaler'
  metrics: '${prefix}-metrics'
}
var holders = objectKeys(identityNames)
var roleNames = {
  editor: guid(subscription().id, prefix, 'editor')
  remover: guid(subscription().id, prefix, 'remover')
  segments: guid(subscription().id, prefix, 'segments')
  logs: guid(subscription().id, prefix, 'logs')
  arrivals: guid(subscription().id, prefix, 'arrivals')
  fleet: guid(subscription().id, prefix, 'fleet')
  parts: guid(subscription().id, prefix, 'parts')
  machines: guid(subscription().id, prefix, 'machines')
  operations: guid(subscription().id, prefix, 'operations')
}
var roleType = 'Microsoft.Authorization/roleDefinitions'
var readBlobs = subscriptionResourceId(roleType, '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1')
var editBlobs = subscriptionResourceId(roleType, roleNames.editor)
var removeBlobs = subscriptionResourceId(roleType, roleNames.remover)
var writeSegments = subscriptionResourceId(roleType, roleNames.segments)
var writeLogs = subscriptionResourceId(roleType, roleNames.logs)

var mediaContainer = 'media'
var privateContainer = 'private'
var systemContainer = 'system'
var arrivalsQueue = 'arrivals'

// What each role may do with blobs. The workers run files and models of strangers, so they have the least. Nobody but who
// accepts jobs and who ends them reads the private container: the signatures of outputs, and what was accepted. Each adds to logs of
// its own kind: none says anything in another's name. A star takes slashes too: what an item is called may hold a folder of segments, and
// its image is an output.
var grants = [
  { who: 'producer', account: names.media, container: mediaContainer, role: editBlobs, names: [], except: [] }
  { who: 'producer', account: names.media, container: privateContainer, role: editBlobs, names: [], except: [] }
  { who: 'producer', account: names.system, container: systemContainer, role: editBlobs, names: [], except: [] }
  { who: 'worker', account: names.media, container: mediaContainer, role: readBlobs, names: [], except: [] }
  { who: 'worker', account: names.media, container: mediaContainer, role: writeSegments, names: ['jobs/*/segments/*', 'jobs/*/frames/*'], except: ['jobs/*/output.*'] }
  { who: 'worker', account: names.system, container: systemContainer, role: readBlobs, names: ['models/*'], except: [] }
  { who: 'worker', account: names.system, container: systemContainer, role: writeLogs, names: ['logs/*/worker/*'], except: [] }
  { who: 'stitcher', account: names.media, container: mediaContainer, role: editBlobs, names: [], except: [] }
  { who: 'stitcher', account: names.media, container: privateContainer, role: removeBlobs, names: [], except: [] }
  { who: 'stitcher', account: names.system, container: systemContainer, role: writeLogs, names: ['logs/*/stitcher/*'], except: [] }
  { who: 'autoscaler', account: names.system, container: systemContainer, role: readBlobs, names: ['fleet/*'], except: [] }
  { who: 'autoscaler', account: names.system, container: systemContainer, role: writeLogs, names: ['logs/*/autoscaler/*'], except: [] }
]

// A backstop for what the janitor has not removed.
var oldJobs = {
  name: 'old-jobs'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: { blobTypes: ['blockBlob'], prefixMatch: ['${mediaContainer}/jobs/', '${privateContainer}/jobs/'] }
    actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: keepJobsDays + 30 } } }
  }
}
var oldLogs = {
  name: 'old-logs'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: { blobTypes: ['blockBlob', 'appendBlob'], prefixMatch: ['${systemContainer}/logs/'] }
    actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: keepLogsDays + 30 } } }
  }
}
// Nobody but storage itself removes them.
var oldReadings = {
  name: 'old-readings'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: { blobTypes: ['appendBlob'], prefixMatch: ['${mediaContainer}/readings/'] }
    actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: keepReadingsDays } } }
  }
}
var undelivered = {
  name: 'undelivered-events'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: { blobTypes: ['blockBlob'], prefixMatch: ['undelivered/'] }
    actions: { baseBlob: { delete: { daysAfterModificationGreaterThan: 90 } } }
  }
}

// What every role is told: where things are. Each gets in by its own identity, and no setting is a secret.
var everyRole = {
  FRAMEFLEET_HOST: '0.0.0.0'
  FRAMEFLEET_REDIS_AUTH: 'entra'
  FRAMEFLEET_REDIS_URL: redis.outputs.url
  FRAMEFLEET_SYSTEM_ACCOUNT: system.outputs.blobUrl
  FRAMEFLEET_SYSTEM_CONTAINER: systemContainer
}
var jobSettings = {
  APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.tracesUrl
  FRAMEFLEET_MEDIA_ACCOUNT: media.outputs.blobUrl
  FRAMEFLEET_MEDIA_CONTAINER: mediaContainer
}
var fleetSettings = {
  FRAMEFLEET_FLEET_CEILING: string(fleetCeiling)
  FRAMEFLEET_FLEET_MAX: string(fleetMax)
  FRAMEFLEET_FLEET_MIN: string(fleetMin)
}
var settings = {
  producer: union(everyRole, jobSettings, fleetSettings, {
    FRAMEFLEET_API_AUDIENCE: apiAudience
    FRAMEFLEET_API_DOCS_OPEN: 'false'
    FRAMEFLEET_API_ISSUER: apiIssuer
    FRAMEFLEET_ARRIVALS_POLL_SECONDS: '0'
    FRAMEFLEET_ARRIVALS_QUEUE: '${media.outputs.queueUrl}/${arrivalsQueue}'
    FRAMEFLEET_KEEP_JOBS_DAYS: string(keepJobsDays)
    FRAMEFLEET_KEEP_LOGS_DAYS: string(keepLogsDays)
    FRAMEFLEET_PRIVATE_CONTAINER: privateContainer
    FRAMEFLEET_SOURCE_HOSTS: sourceHosts
    FRAMEFLEET_WORKER_HOUR_PRICE: workerHourPrice
  })
  worker: union(everyRole, jobSettings)
  stitcher: union(everyRole, jobSettings, {
    FRAMEFLEET_PRIVATE_CONTAINER: privateContainer
  })
  autoscaler: union(everyRole, fleetSettings)
}

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: names.group
  location: location
  tags: tags
}

// The fleet has a group of its own, so that what holds for its machines holds for nothing else.
resource fleetGroup 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: names.fleetGroup
  location: location
  tags: tags
}

module identities 'modules/identities.bicep' = {
  scope: group
  name: '${prefix}-identities'
  params: {
    prefix: prefix
    location: location
    tags: tags
    holders: holders
  }
}

module roles 'modules/roles.bicep' = {
  name: '${prefix}-roles'
  params: {
    prefix: 'framefleet ${environmentName} ${hash}'
    groupId: group.id
    fleetGroupId: fleetGroup.id
    roleNames: roleNames
    autoscalerPrincipalId: identities.outputs.principalIds[indexOf(holders, 'autoscaler')]
  }
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  name: '${prefix}-monitoring'
  params: {
    prefix: prefix
    location: location
    tags: tags
    emails: emails
    collectorName: identityNames.metrics
    tracerNames: [
      identityNames.producer
      identityNames.worker
      identityNames.stitcher
    ]
  }
  dependsOn: [identities]
}

module network 'modules/network.bicep' = {
  scope: group
  name: '${prefix}-network'
  params: {
    name: names.network
    location: location
    tags: tags
    addresses: addresses
    clientAddresses: clientAddresses
    adminAddresses: adminAddresses
    publicApi: publicApi
    fileShare: scratchGiB > 0
  }
}

module media 'modules/storage.bicep' = {
  scope: group
  name: '${prefix}-media'
  params: {
    name: names.media
    location: location
    tags: tags
    sku: storageSku
    containers: [mediaContainer, privateContainer, 'undelivered']
    queues: [arrivalsQueue]
    lifecycleRules: concat(
      [undelivered],
      keepJobsDays > 0 ? [oldJobs] : [],
      keepReadingsDays > 0 ? [oldReadings] : []
    )
    // Segments come and go by the hundred thousand: each would be paid for once more.
    undeleteDays: 0
    openToEventGrid: true
    pageOrigins: [apiOrigin]
    endpointsSubnetId: network.outputs.endpointsSubnetId
    blobZoneId: network.outputs.blobZoneId
    queueZoneId: network.outputs.queueZoneId
    workspaceId: monitoring.outputs.workspaceId
  }
}

module system 'modules/storage.bicep' = {
  scope: group
  name: '${prefix}-system'
  params: {
    name: names.system
    location: location
    tags: tags
    sku: storageSku
    containers: [systemContainer]
    lifecycleRules: keepLogsDays > 0 ? [oldLogs] : []
    undeleteDays: 14
    endpointsSubnetId: network.outputs.endpointsSubnetId
    blobZoneId: network.outputs.blobZoneId
    workspaceId: monitoring.outputs.workspaceId
  }
}

module access 'modules/blob-access.bicep' = [
  for (grant, i) in grants: {
    scope: group
    name: '${prefix}-access-${i}'
    params: {
      identityName: identityNames[grant.who]
      accountName: grant.account
      containerName: grant.container
      roleDefinitionId: grant.role
      names: grant.names
      except: grant.except
    }
    dependsOn: [identities, roles, media, system]
  }
]

module links 'modules/blob-links.bicep' = {
  scope: group
  name: '${prefix}-links'
  params: {
    accountName: names.media
    identityName: identityNames.producer
  }
  dependsOn: [identities, media]
}

module redis 'modules/redis.bicep' = {
  scope: group
  name: '${prefix}-redis'
  params: {
    name: names.redis
    location: location
    tags: tags
    sku: redisSku
    identityNames: [
      identityNames.producer
      identityNames.worker
      identityNames.stitcher
      identityNames.autoscaler
    ]
    endpointsSubnetId: network.outputs.endpointsSubnetId
    zoneId: network.outputs.redisZoneId
    workspaceId: monitoring.outputs.workspaceId
  }
  dependsOn: [identities]
}

module registry 'modules/registry.bicep' = {
  scope: group
  name: '${prefix}-registry'
  params: {
    name: names.registry
    location: location
    tags: tags
    identityNames: [
      identityNames.producer
      identityNames.worker
      identityNames.stitcher
      identityNames.autoscaler
      identityNames.metrics
    ]
    builderAddresses: builderAddresses
    endpointsSubnetId: network.outputs.endpointsSubnetId
    zoneId: network.outputs.registryZoneId
    workspaceId: monitoring.outputs.workspaceId
  }
  dependsOn: [identities]
}

module events 'modules/events.bicep' = {
  scope: group
  name: '${prefix}-events'
  params: {
    name: names.events
    location: location
    tags: tags
    accountName: names.media
    containerName: mediaContainer
    prefix: 'in/'
    queueName: arrivalsQueue
    undeliveredName: 'undelivered'
    receiverName: identityNames.producer
    receiverRoleId: subscriptionResourceId(roleType, roleNames.arrivals)
  }
  dependsOn: [identities, media, roles]
}

module scratch 'modules/scratch.bicep' = if (scratchGiB > 0) {
  scope: group
  name: '${prefix}-scratch'
  params: {
    name: names.scratch
    location: location
    tags: tags
    sizeGiB: scratchGiB
    endpointsSubnetId: network.outputs.endpointsSubnetId
    zoneId: network.outputs.fileZoneId
  }
}

module guard 'modules/fleet-guard.bicep' = {
  name: names.guard
  params: {
    name: names.guard
    groupName: fleetGroup.name
    size: preset.size
    image: machineImage
    // Not left out: what was assigned before would stay.
    isEnforced: guardFleet
  }
}

// A deployment writes how many machines there are to be, which is the autoscaler's business: it is read as late as can be, and
// written back. Pause the fleet before (`framefleet fleet set --pause`), or what it asks for in between is taken back.
module fleetSize 'modules/fleet-size.bicep' = if (fleetExists) {
  scope: fleetGroup
  name: '${prefix}-fleet-size'
  params: { name: names.fleet }
  dependsOn: [network, registry, access]
}

module fleetParts 'modules/fleet-parts.bicep' = {
  scope: group
  name: '${prefix}-fleet-parts'
  params: {
    autoscalerName: identityNames.autoscaler
    workerName: identityNames.worker
    networkName: names.network
    subnetName: 'workers'
    roleDefinitionId: subscriptionResourceId(roleType, roleNames.parts)
  }
  dependsOn: [identities, network, roles]
}

module fleet 'modules/fleet.bicep' = if (!empty(imageTag)) {
  scope: fleetGroup
  name: '${prefix}-fleet'
  params: {
    name: names.fleet
    location: location
    tags: tags
    preset: preset
    capacity: fleetExists ? fleetSize!.outputs.capacity : 0
    priority: priority
    orchestrationMode: orchestrationMode
    image: machineImage
    trustedLaunch: trustedLaunch && preset.trustedLaunch
    secureBoot: secureBoot
    sshPublicKey: sshPublicKey
    subnetId: network.outputs.workersSubnetId
    identitiesGroup: group.name
    workerName: identityNames.worker
    autoscalerName: identityNames.autoscaler
    fleetRoleId: subscriptionResourceId(roleType, roleNames.fleet)
    machinesRoleId: subscriptionResourceId(roleType, roleNames.machines)
    registryServer: registry.outputs.server
    workerImage: '${registry.outputs.server}/framefleet-worker-cuda:${imageTag}'
    settings: settings.worker
  }
  dependsOn: [roles, access]
}

// Without apps, so that their domain is known before there are any.
module place 'modules/apps-environment.bicep' = {
  scope: group
  name: '${prefix}-place'
  params: {
    prefix: prefix
    location: location
    tags: tags
    subnetId: network.outputs.appsSubnetId
    networkId: network.outputs.id
    workspaceId: monitoring.outputs.workspaceId
    isPublic: publicApi
    shareServer: scratchGiB > 0 ? scratch!.outputs.server : ''
    sharePath: scratchGiB > 0 ? scratch!.outputs.path : ''
  }
}

var apiOrigin = 'https://producer.${place.outputs.domain}'

module apps 'modules/apps.bicep' = if (!empty(imageTag)) {
  scope: group
  name: '${prefix}-apps'
  params: {
    prefix: prefix
    location: location
    tags: tags
    environmentId: place.outputs.id
    registryServer: registry.outputs.server
    imageTag: imageTag
    prometheusTag: prometheusTag
    settings: settings
    fleetId: fleet!.outputs.id
    workersPerInstance: preset.gpus
    apiAddresses: apiAddresses
    producers: producers
    stitchers: stitchers
    metricsUrl: monitoring.outputs.metricsUrl
    hasShare: scratchGiB > 0
    shareGiB: scratchGiB
  }
  dependsOn: [access, links, events]
}

module alerts 'modules/alerts.bicep' = {
  scope: group
  name: '${prefix}-alerts'
  params: {
    prefix: prefix
    location: location
    tags: tags
    metricsId: monitoring.outputs.metricsId
    peopleId: monitoring.outputs.peopleId
    redisId: redis.outputs.id
  }
}

module budget 'modules/budget.bicep' = {
  name: '${prefix}-budget'
  params: {
    name: prefix
    amount: monthlyBudget
    groupNames: [group.name, fleetGroup.name]
    start: budgetStart
    emails: emails
  }
}

@description('Where images go.')
output AZURE_CONTAINER_REGISTRY_ENDPOINT string = registry.outputs.server

@description('The account of inputs, jobs and outputs.')
output mediaAccountId string = media.outputs.id

@description('The account of models, logs and settings of the fleet.')
output systemAccountId string = system.outputs.id

@description('The API, and the page; nothing answers there until there are images.')
output API_URL string = apiOrigin

@description('Tag of the image of Prometheus that the registry is to have.')
output PROMETHEUS_TAG string = prometheusTag
