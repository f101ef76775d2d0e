@description('Name of the app, by which others in the environment reach it.')
param name string

@description('Where it lies.')
param location string

@description('Tags of every resource.')
param tags object

@description('Environment of the apps.')
param environmentId string

@description('Name of its identity.')
param identityName string

@description('Host of the registry.')
param registryServer string

@description('Its image.')
param image string

@description('What is started in it.')
param command string[]

@description('Its settings, one for each variable.')
param settings object

@description('Port of its pages.')
param port int

@description('Port of its health and metrics pages, where that is another: reached within the environment alone. 0: the same.')
param healthPort int = 0

@description('Whether it is reached from outside of the environment.')
param external bool = false

@description('Addresses or ranges that may reach it. Empty: all that come so far.')
param addresses string[] = []

@description('Whether its health pages are asked: those of a role.')
param hasHealthPages bool = true

@description('Processors and memory, such as `2` and `4Gi`: a replica with more than one processor has a disk of 8 GiB.')
param resources object

@description('Replicas, which run all the time: they take work from Redis, of which Azure, which counts requests, knows nothing.')
@minValue(1)
param replicas int = 1

@description('Seconds to end what it does, once told to.')
param graceSeconds int = 45

@description('Share of the environment for temporary files; empty for the disk of the replica.')
param share string = ''

@description('Image with a shell that runs as root, to make the folder on that share.')
param toolImage string = 'mcr.microsoft.com/azurelinux/base/core:3.0'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: identityName
}

var allSettings = union(settings, { AZURE_CLIENT_ID: identity.properties.clientId })

var askedPort = healthPort == 0 ? port : healthPort
var probes = [
  {
    type: 'Startup'
    httpGet: { path: '/healthz', port: askedPort }
    periodSeconds: 3
    failureThreshold: 10
    timeoutSeconds: 3
  }
  {
    type: 'Liveness'
    httpGet: { path: '/healthz', port: askedPort }
    periodSeconds: 10
    failureThreshold: 6
    timeoutSeconds: 5
  }
  {
    type: 'Readiness'
    httpGet: { path: '/readyz', port: askedPort }
    periodSeconds: 10
    failureThreshold: 3
    timeoutSeconds: 5
  }
]

resource app 'Microsoft.App/containerApps@2025-07-01' = {
  name: name
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identity.id}': {} }
  }
  properties: {
    environmentId: environmentId
    workloadProfileName: 'Consumption'
    configuration: {
      activeRevisionsMode: 'Single'
      ingress: {
        external: external
        // Within the environment Prometheus asks without TLS.
        allowInsecure: !external
        targetPort: port
        transport: 'http'
        additionalPortMappings: healthPort == 0
          ? []
          : [
              { external: false, targetPort: healthPort, exposedPort: healthPort }
            ]
        ipSecurityRestrictions: map(addresses, (address, i) => {
          name: 'allowed-${i}'
          action: 'Allow'
          ipAddressRange: address
        })
      }
      registries: [
        { server: registryServer, identity: identity.id }
      ]
    }
    template: {
      terminationGracePeriodSeconds: graceSeconds
      containers: [
        {
          name: name
          image: image
          command: command
          resources: { cpu: json(resources.cpu), memory: resources.memory }
          probes: hasHealthPages ? probes : []
          env: map(items(allSettings), setting => {
            name: setting.key
            value: setting.value
          })
          volumeMounts: [
            { volumeName: 'work', mountPath: '/work', subPath: empty(share) ? null : name }
          ]
        }
      ]
      // The share belongs to root, and the roles don't run as root.
      initContainers: empty(share)
        ? []
        : [
            {
              name: 'folder'
              image: toolImage
              command: ['/bin/sh', '-c', 'mkdir -p /share/${name} && chown 10001:10001 /share/${name}']
              resources: { cpu: json('0.25'), memory: '0.5Gi' }
              volumeMounts: [
                { volumeName: 'work', mountPath: '/share' }
              ]
            }
          ]
      scale: { minReplicas: replicas, maxReplicas: replicas }
      volumes: [
        {
          name: 'work'
          storageType: empty(share) ? 'EmptyDir' : 'NfsAzureFile'
          storageName: empty(share) ? null : share
        }
      ]
    }
  }
}
