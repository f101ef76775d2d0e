@description('Name of the storage account.')
param name string

@description('Where it lies.')
param location string

@description('Tags of every resource.')
param tags object

@description('Size of the share in GiB, 100 or more.')
param sizeGiB int

@description('Subnet of the private endpoints.')
param endpointsSubnetId string

@description('Zone of its private endpoint.')
param zoneId string

// Sources being cut and videos being joined, where they are larger than a replica's own disk of 8 GiB. Over NFS, because
// it needs no key; it has no TLS either, so it stays in this network, and only the apps' subnet reaches it.
resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'FileStorage'
  sku: { name: 'Premium_LRS' }
  properties: {
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: 'Disabled'
    supportsHttpsTrafficOnly: false
    encryption: {
      keySource: 'Microsoft.Storage'
      requireInfrastructureEncryption: true
      services: {
        file: { enabled: true, keyType: 'Account' }
      }
    }
    networkAcls: { defaultAction: 'Deny', bypass: 'None' }
  }

  resource files 'fileServices' = {
    name: 'default'
    properties: {
      shareDeleteRetentionPolicy: { enabled: false }
    }

    resource share 'shares' = {
      name: 'scratch'
      properties: {
        enabledProtocols: 'NFS'
        // Its folders are handed to the roles' user by root: see app.bicep.
        rootSquash: 'NoRootSquash'
        shareQuota: sizeGiB
      }
    }
  }
}

module endpoint 'endpoint.bicep' = {
  name: '${name}-endpoint'
  params: {
    name: name
    location: location
    tags: tags
    subnetId: endpointsSubnetId
    zoneId: zoneId
    targetId: account.id
    service: 'file'
  }
}

@description('Its server.')
output server string = '${name}.file.${environment().suffixes.storage}'

@description('Path of the share on its server.')
output path string = '/${name}/${account::files::share.name}'
