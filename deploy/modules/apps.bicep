@description('What the names of the resources begin with.')
param prefix string

@description('Where they lie.')
param location string

@description('Tags of every resource.')
param tags object

@description('Environment of the apps.')
param environmentId string

@description('Host of the registry.')
param registryServer string

@description('Tag of the images.')
param imageTag string

@description('Tag of the image of Prometheus in the registry.')
param prometheusTag string

@description('Settings of each role, one for each variable.')
param settings object

@description('The scale set that the autoscaler steers.')
param fleetId string

@description('Workers on each of its machines.')
param workersPerInstance int

@description('Addresses or ranges that may reach the API. Empty: all that come so far.')
param apiAddresses string[]

@description('Producers.')
param producers int

@description('Stitchers.')
param stitchers int

@description('Where Prometheus hands metrics in.')
param metricsUrl string

@description('Whether temporary files lie on the share of the environment, or on each replica\'s own disk.')
param hasShare bool

@description('Size of that share, in GiB.')
param shareGiB int

var share = hasShare ? 'scratch' : ''
// A replica's own disk has 8 GiB, which hold a source and all that is made of it. A share is divided among all that are
// there, and what one that is gone has left stays for a day, so that half is left free. Division is of whole numbers.
var diskBytes = hasShare ? shareGiB * 500000000 / (producers + stitchers) : 8000000000
var diskSettings = {
  FRAMEFLEET_CACHE_DIR: '/work/cache'
  FRAMEFLEET_CACHE_MAX_BYTES: string(diskBytes / 2)
  FRAMEFLEET_SCRATCH_DIR: '/work/scratch'
}
var roleImage = '${registryServer}/framefleet:${imageTag}'
// Names what the image starts with, because a command here takes its place: it buries the processes that lost their parent.
var init = ['tini', '-s', '--']
var prometheusPort = 9090
var producerPort = 9104
// Of an app with several replicas each look reaches one of them: counters are those of one replica, what comes from Redis is
// the same in all. The producer's own address has its API alone.
var targets = { producer: 'producer:${producerPort}', stitcher: 'stitcher:80', autoscaler: 'autoscaler:80' }

module producer 'app.bicep' = {
  name: '${prefix}-producer'
  params: {
    name: 'producer'
    location: location
    tags: tags
    environmentId: environmentId
    identityName: '${prefix}-producer'
    registryServer: registryServer
    image: roleImage
    command: concat(init, ['node', 'dist/producer/main.js'])
    port: 8080
    healthPort: producerPort
    // In an environment of the network alone this is still the network alone.
    external: true
    addresses: apiAddresses
    resources: { cpu: '2', memory: '4Gi' }
    replicas: producers
    share: share
    settings: union(settings.producer, diskSettings, {
      FRAMEFLEET_API_PORT: '8080'
      FRAMEFLEET_PRODUCER_PORT: string(producerPort)
      // What the disk holds beside what is under way.
      FRAMEFLEET_MAX_SOURCE_BYTES: string(diskBytes / 4)
    })
  }
}

module stitcher 'app.bicep' = {
  name: '${prefix}-stitcher'
  params: {
    name: 'stitcher'
    location: location
    tags: tags
    environmentId: environmentId
    identityName: '${prefix}-stitcher'
    registryServer: registryServer
    image: roleImage
    command: concat(init, ['node', 'dist/stitcher/main.js'])
    port: 9102
    resources: { cpu: '2', memory: '4Gi' }
    replicas: stitchers
    share: share
    settings: union(settings.stitcher, diskSettings, {
      FRAMEFLEET_STITCHER_PORT: '9102'
    })
  }
}

module autoscaler 'app.bicep' = {
  name: '${prefix}-autoscaler'
  params: {
    name: 'autoscaler'
    location: location
    tags: tags
    environmentId: environmentId
    identityName: '${prefix}-autoscaler'
    registryServer: registryServer
    image: roleImage
    command: concat(init, ['node', 'dist/autoscaler/main.js'])
    port: 9103
    resources: { cpu: '0.5', memory: '1Gi' }
    settings: union(settings.autoscaler, {
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
    environmentId: environmentId
    identityName: '${prefix}-metrics'
    registryServer: registryServer
    image: '${registryServer}/prometheus:${prometheusTag}'
    command: [
      '/bin/sh'
      '-c'
      'printf %s "$PROMETHEUS_CONFIG" > /work/prometheus.yml && exec prometheus --agent --config.file=/work/prometheus.yml --storage.agent.path=/work/wal'
    ]
    port: prometheusPort
    hasHealthPages: false
    resources: { cpu: '0.25', memory: '0.5Gi' }
    settings: {
      PROMETHEUS_CONFIG: string({
        global: { scrape_interval: '30s' }
        scrape_configs: map(items(targets), target => {
          job_name: target.key
          static_configs: [{ targets: [target.value] }]
        })
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

resource collector 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: '${prefix}-metrics'
}
