@description('Name of the storage account.')
param name string

@description('Where it lies.')
param location string

@description('Tags of every resource.')
param tags object

@description('How many copies there are and where, such as `Standard_ZRS`.')
param sku string

@description('Its containers.')
param containers string[]

@description('Its queues.')
param queues string[] = []

@description('Rules that remove what nobody has removed.')
param lifecycleRules array = []

@description('Days in which a blob that was removed can be brought back; 0 for none.')
param undeleteDays int

@description('Whether Event Grid may come in, by its own identity: it knows no private endpoints.')
param openToEventGrid bool = false

@description('Pages whose scripts may read and write blobs, such as `https://host`: what a browser asks before it sends a signature that it was given.')
param pageOrigins string[] = []

@description('Subnet of the private endpoints.')
param endpointsSubnetId string

@description('Zone of the private endpoints of blobs.')
param blobZoneId string

@description('Zone of the private endpoints of queues; needed where there are any.')
param queueZoneId string = ''

@description('Workspace of the logs.')
param workspaceId string

var services = concat(
  [{ name: 'blob', zoneId: blobZoneId }],
  empty(queues) ? [] : [{ name: 'queue', zoneId: queueZoneId }]
)

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: sku }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: 'Disabled'
    supportsHttpsTrafficOnly: true
    encryption: {
      keySource: 'Microsoft.Storage'
      requireInfrastructureEncryption: true
      services: {
        blob: { enabled: true, keyType: 'Account' }
        queue: { enabled: true, keyType: 'Account' }
      }
    }
    networkAcls: {
      defaultAction: 'Deny'
      bypass: openToEventGrid ? 'AzureServices' : 'None'
    }
  }

  resource blobs 'blobServices' = {
    name: 'default'
    properties: {
      containerDeleteRetentionPolicy: { enabled: true, days: 7 }
      deleteRetentionPolicy: undeleteDays > 0 ? { enabled: true, days: undeleteDays } : { enabled: false }
      cors: {
        corsRules: empty(pageOrigins)
          ? []
          : [
              {
                allowedOrigins: pageOrigins
                allowedMethods: ['GET', 'HEAD', 'PUT', 'OPTIONS']
                allowedHeaders: ['content-type', 'content-md5', 'if-none-match', 'range', 'x-ms-*']
                exposedHeaders: ['content-length', 'content-range', 'content-type', 'etag', 'x-ms-*']
                maxAgeInSeconds: 3600
              }
            ]
      }
    }

    resource each 'containers' = [
      for container in containers: {
        name: container
        properties: { publicAccess: 'None' }
      }
    ]
  }

  resource messages 'queueServices' = if (!empty(queues)) {
    name: 'default'

    resource each 'queues' = [
      for queue in queues: {
        name: queue
      }
    ]
  }

  resource lifecycle 'managementPolicies' = if (!empty(lifecycleRules)) {
    name: 'default'
    properties: {
      policy: { rules: lifecycleRules }
    }
  }
}

module endpoints 'endpoint.bicep' = [
  for service in services: {
    name: '${name}-${service.name}'
    params: {
      name: '${name}-${service.name}'
      location: location
      tags: tags
      subnetId: endpointsSubnetId
      zoneId: service.zoneId
      targetId: account.id
      service: service.name
    }
  }
]

// Who did what with keys, contents and rights: reads are too many to keep, and say little.
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: account::blobs
  properties: {
    workspaceId: workspaceId
    logs: [
      { category: 'StorageDelete', enabled: true }
    ]
    metrics: [
      { category: 'Transaction', enabled: true }
    ]
  }
}

@description('The account.')
output id string = account.id

@description('Where its blobs are, such as https://name.blob.core.windows.net, without a slash at the end.')
output blobUrl string = take(account.properties.primaryEndpoints.blob, length(account.properties.primaryEndpoints.blob) - 1)

@description('Where its queues are, such as https://name.queue.core.windows.net, without a slash at the end.')
output queueUrl string = take(account.properties.primaryEndpoints.queue, length(account.properties.primaryEndpoints.queue) - 1)
