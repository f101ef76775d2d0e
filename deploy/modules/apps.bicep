@description('What the names of the resources begin with.')
param prefix string

@description('Where they lie.')
param location string

@description('Tags of every resource.')
param tags object

@description('Subnet of the environment.')
param subnetId string

@description('Network in which the apps are found by name.')
param networkId string

@description('Workspace of the logs.')
param workspaceId string

@description('Host of the registry.')
param registryServer string

@description('Tag of the images.')
param imageTag string

@description('Tag of the image of Prometheus in the registry.')
param prometheusTag string

@description('Settings that all roles read, one for each variable.')
param settings object

@description('The scale set that the autoscaler steers.')
param fleetId string

@description('Workers on each of its machines.')
param workersPerInstance int

@description('Whether the API is reached from the Internet, or from the network alone.')
param publicApi bool

@description('Addresses or ranges that may reach the API. Empty: all that come so far.')
param apiAddresses string[]

@description('Producers.')
param producers int

@description('Stitchers.')
param stitchers int

@description('After so many days jobs are removed, with outputs that lie under `jobs/`; 0 keeps them for ever.')
param keepJobsDays int

@description('Where Prometheus hands metrics in.')
param metricsUrl string

@description('Server of the share for temporary files; empty where replicas use their own disks.')
param shareServer string

@description('Path of that share.')
param sharePath string

@description('Size of that share, in GiB.')
param shareGiB int

var share = empty(shareServer) ? '' : 'scratch'
// A replica's own disk has 8 GiB, which hold a source and all that is made of it. A share is divided among all that are
// there, and what one that is gone has left stays for a day, so that half is left free. Division is of whole numbers.
var diskBytes = empty(shareServer) ? 8000000000 : shareGiB * 500000000 / (producers + stitchers)
var diskSettings = {
  FRAMEFLEET_CACHE_DIR: '/work/cache'
  FRAMEFLEET_CACHE_MAX_BYTES: string(diskBytes / 2)
  FRAMEFLEET_SCRATCH_DIR: '/work/scratch'
}
var roleImage = '${registryServer}/framefleet:${imageTag}'
var metricsPort = 9090
// Of an app with several replicas each look reaches one of them: counters are those of one replica, what comes from Redis is
// the same in all.
var inside = [
  for role in ['stitcher', 'autoscaler']: {
    job_name: role
    static_configs: [{ targets: ['${role}:80'] }]
  }
]

resource apps 'Microsoft.App/managedEnvironments@2025-07-01' = {
  name: '${prefix}-apps'
  location: location
  tags: tags
  properties: {
    // Not 'log-analytics', which wants the workspace's key.
    appLogsConfiguration: { destination: 'azure-monitor' }
    publicNetworkAccess: publicApi ? 'Enabled' : 'Disabled'
    vnetConfiguration: {
      infrastructureSubnetId: subnetId
      internal: !publicApi
    }
    workloadProfiles: [
      { name: 'Consumption', workloadProfileType: 'Consumption' }
    ]
  }

  resource scratch 'storages' = if (!empty(shareServer)) {
    name: 'scratch'
    properties: {
      nfsAzureFile: { server: shareServer, shareName: sharePath, accessMode: 'ReadWrite' }
    }
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: apps
  properties: {
    workspaceId: workspaceId
    logs: [
      { category: 'ContainerAppConsoleLogs', enabled: true }
      { category: 'ContainerAppSystemLogs', enabled: true }
    ]
  }
}

module producer 'app.bicep' = {
  name: '${prefix}-producer'
  params: {
    name: 'producer'
    location: location
    tags: tags
    environmentId: apps.id
    identityName: '${prefix}-producer'
    registryServer: registryServer
    image: roleImage
    command: ['node', 'dist/producer/main.js']
    port: 8080
    // In an environment of the network alone this is still the network alone.
    external: true
    addresses: apiAddresses
    resources: { cpu: '2', memory: '4Gi' }
    replicas: producers
    share: share
    settings: union(settings, diskSettings, {
      FRAMEFLEET_API_PORT: '8080'
      FRAMEFLEET_KEEP_JOBS_DAYS: string(keepJobsDays)
      // What the disk holds beside what is under way.
      FRAMEFLEET_MAX_SOURCE_BYTES: string(diskBytes / 4)
    })
  }
  dependsOn: [apps::scratch]
}

module stitcher 'app.bicep' = {
  name: '${prefix}-stitcher'
  params: {
    name: 'stitcher'
    location: location
    tags: tags
    environmentId: apps.id
    identityName: '${prefix}-stitcher'
    registryServer: registryServer
    image: roleImage
    command: ['node', 'dist/stitcher/main.js']
    port: 9102
    resources: { cpu: '2', memory: '4Gi' }
    replicas: stitchers
    share: share
    settings: union(settings, diskSettings, {
      FRAMEFLEET_STITCHER_PORT: '9102'
    })
  }
  dependsOn: [apps::scratch]
}

module autoscaler 'app.bicep' = {
  name: '${prefix}-autoscaler'
  params: {
    name: 'autoscaler'
    location: location
    tags: tags
    environmentId: apps.id
    identityName: '${prefix}-autoscaler'
    registryServer: registryServer
    image: roleImage
    command: ['node', 'dist/autoscaler/main.js']
    port: 9103
    resources: { cpu: '0.5', memory: '1Gi' }
    settings: union(settings, {
      FRAMEFLEET_ARM_URL: take(environment().resourceManager, length(environment().resourceManager) - 1)
      FRAMEFLEET_AUTOSCALER_PORT: '9103'
      FRAMEFLEET_FLEET: 'vmss'
      FRAMEFLEET_VMSS_ID: fleetId
      FRAMEFLEET_WORKERS_PER_INSTANCE: string(workersPerInstance)
    })
  }
}

// Takes the roles' metrics and hands them in.
module metrics 'app.bicep' = {
  name: '${prefix}-metrics'
  params: {
    name: 'metrics'
    location: location
    tags: tags
    environmentId: apps.id
    identityName: '${prefix}-metrics'
    registryServer: registryServer
    image: '${registryServer}/prometheus:${prometheusTag}'
    command: [
      '/bin/sh'
      '-c'
      'printf %s "$PROMETHEUS_CONFIG" > /work/prometheus.yml && exec prometheus --agent --config.file=/work/prometheus.yml --storage.agent.path=/work/wal'
    ]
    port: metricsPort
    hasHealthPages: false
    resources: { cpu: '0.25', memory: '0.5Gi' }
    settings: {
      PROMETHEUS_CONFIG: string({
        global: { scrape_interval: '30s' }
        scrape_configs: concat(inside, [
          {
            job_name: 'producer'
            scheme: 'https'
            static_configs: [{ targets: [producer.outputs.host] }]
          }
        ])
        remote_write: [
          {
            url: metricsUrl
            azuread: { managed_identity: { client_id: collector.properties.clientId } }
          }
        ]
      })
    }
  }
}

// Within the network the apps are found by name; on the Internet Azure sees to it.
module names 'apps-dns.bicep' = if (!publicApi) {
  name: '${prefix}-apps-dns'
  params: {
    domain: apps.properties.defaultDomain
    address: apps.properties.staticIp
    networkId: networkId
    tags: tags
  }
}

resource collector 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: '${prefix}-metrics'
}

@description('Host of the API.')
output apiHost string = producer.outputs.host
