@description('Name of the Redis.')
param name string

@description('Where it lies.')
param location string

@description('Tags of every resource.')
param tags object

@description('Its size, such as `Balanced_B1`: 1 GB. A batch in line takes 1.6 kB.')
param sku string

@description('Names of the identities that use it.')
param identityNames string[]

@description('Subnet of the private endpoints.')
param endpointsSubnetId string

@description('Zone of its private endpoint.')
param zoneId string

@description('Workspace of the logs.')
param workspaceId string

resource redis 'Microsoft.Cache/redisEnterprise@2025-07-01' = {
  name: name
  location: location
  tags: tags
  sku: { name: sku }
  properties: {
    highAvailability: 'Enabled'
    minimumTlsVersion: '1.2'
    publicNetworkAccess: 'Disabled'
  }

  resource database 'databases' = {
    name: 'default'
    properties: {
      accessKeysAuthentication: 'Disabled'
      clientProtocol: 'Encrypted'
      // The queues' scripts want all their keys in one place.
      clusteringPolicy: 'NoCluster'
      // A queue that forgets entries when memory is short is none. Full, Redis refuses, and the alert on memory says so before.
      evictionPolicy: 'NoEviction'
      port: 10000
      persistence: { aofEnabled: true, aofFrequency: '1s' }
    }
  }
}

resource identities 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = [
  for identityName in identityNames: {
    name: identityName
  }
]

// Azure has this one policy, which may do everything: a stolen role can spoil all of Redis. Nothing is lost by it, because
// all that is needed to go on lies in Blob.
@batchSize(1)
resource users 'Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments@2025-07-01' = [
  for (identityName, i) in identityNames: {
    parent: redis::database
    name: replace(identityName, '-', '')
    properties: {
      accessPolicyName: 'default'
      user: { objectId: identities[i].properties.principalId }
    }
  }
]

module endpoint 'endpoint.bicep' = {
  name: '${name}-endpoint'
  params: {
    name: name
    location: location
    tags: tags
    subnetId: endpointsSubnetId
    zoneId: zoneId
    targetId: redis.id
    service: 'redisEnterprise'
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: redis::database
  properties: {
    workspaceId: workspaceId
    logs: [
      { category: 'ConnectionEvents', enabled: true }
    ]
  }
}

@description('The Redis, for alerts.')
output id string = redis.id

@description('Where it is: TLS, and no secret in it.')
output url string = 'rediss://${redis.properties.hostName}:${redis::database.properties.port}'
