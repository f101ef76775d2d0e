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

@description('Whether apps may be reached from the Internet, or from the network alone.')
param isPublic bool

@description('Server of the share for temporary files; empty where replicas use their own disks.')
param shareServer string

@description('Path of that share.')
param sharePath string

resource apps 'Microsoft.App/managedEnvironments@2025-07-01' = {
  name: '${prefix}-apps'
  location: location
  tags: tags
  properties: {
    // Not 'log-analytics', which wants the workspace's key.
    appLogsConfiguration: { destination: 'azure-monitor' }
    publicNetworkAccess: isPublic ? 'Enabled' : 'Disabled'
    vnetConfiguration: {
      infrastructureSubnetId: subnetId
      internal: !isPublic
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

// Within the network the apps are found by name; on the Internet Azure sees to it.
module names 'apps-dns.bicep' = if (!isPublic) {
  name: '${prefix}-apps-dns'
  params: {
    domain: apps.properties.defaultDomain
    address: apps.properties.staticIp
    networkId: networkId
    tags: tags
  }
}

@description('The environment.')
output id string = apps.id

@description('What the hosts of its apps end with.')
output domain string = apps.properties.defaultDomain
