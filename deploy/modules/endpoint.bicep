@description('Name of the private endpoint.')
param name string

@description('Where it lies.')
param location string

@description('Tags of every resource.')
param tags object

@description('Subnet of the private endpoints.')
param subnetId string

@description('Private DNS zone that its name goes to.')
param zoneId string

@description('What it leads to.')
param targetId string

@description('Which service of it, such as `blob`.')
param service string

resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: { id: subnetId }
    customNetworkInterfaceName: name
    privateLinkServiceConnections: [
      {
        name: service
        properties: {
          privateLinkServiceId: targetId
          groupIds: [service]
        }
      }
    ]
  }
}

resource names 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: service
        properties: { privateDnsZoneId: zoneId }
      }
    ]
  }
}
