@description('Name of the virtual network; what belongs to it is called after it.')
param name string

@description('Where it lies.')
param location string

@description('Tags of every resource.')
param tags object

@description('Addresses of the virtual network, a /16: the workers get 4,091 of them.')
param addresses string

@description('Addresses or ranges of those who put videos in and fetch them, of a network that is joined to this one.')
param clientAddresses string[]

@description('Addresses or ranges from which machines are signed in to, of a network that is joined to this one.')
param adminAddresses string[]

@description('Whether the API is reached from the Internet.')
param publicApi bool

@description('Whether the apps mount a file share by NFS.')
param fileShare bool

var appAddresses = cidrSubnet(addresses, 26, 0)
var endpointAddresses = cidrSubnet(addresses, 26, 4)
var workerAddresses = cidrSubnet(addresses, 20, 1)

// Blob and Redis have no keys, but what has no door needs no lock: nothing here has a public address but the gateway outwards.
var zones = [
  'privatelink.blob.${environment().suffixes.storage}'
  'privatelink.queue.${environment().suffixes.storage}'
  'privatelink.file.${environment().suffixes.storage}'
  'privatelink.redis.azure.net'
  'privatelink.azurecr.io'
]

var denyAll = {
  access: 'Deny'
  protocol: '*'
  sourceAddressPrefix: '*'
  sourcePortRange: '*'
  destinationAddressPrefix: '*'
  destinationPortRange: '*'
}

resource gatewayAddress 'Microsoft.Network/publicIPAddresses@2024-05-01' = {
  name: '${name}-out'
  location: location
  tags: tags
  sku: { name: 'Standard' }
  properties: {
    publicIPAllocationMethod: 'Static'
    publicIPAddressVersion: 'IPv4'
  }
}

resource gateway 'Microsoft.Network/natGateways@2024-05-01' = {
  name: '${name}-out'
  location: location
  tags: tags
  sku: { name: 'Standard' }
  properties: {
    idleTimeoutInMinutes: 10
    publicIpAddresses: [
      { id: gatewayAddress.id }
    ]
  }
}

// A worker runs models and files of strangers: it reaches storage, Redis, the registry and HTTPS, and nothing reaches it
// but who may sign in.
resource workerRules 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${name}-workers'
  location: location
  tags: tags
  properties: {
    securityRules: concat(
      empty(adminAddresses)
        ? []
        : [
            {
              name: 'sign-in'
              properties: {
                direction: 'Inbound'
                priority: 90
                access: 'Allow'
                protocol: 'Tcp'
                sourceAddressPrefixes: adminAddresses
                sourcePortRange: '*'
                destinationAddressPrefix: workerAddresses
                destinationPortRange: '22'
              }
            }
          ],
      [
        {
          name: 'nothing-in'
          properties: union(denyAll, { direction: 'Inbound', priority: 100 })
        }
        {
          name: 'services-out'
          properties: {
            direction: 'Outbound'
            priority: 100
            access: 'Allow'
            protocol: 'Tcp'
            sourceAddressPrefix: workerAddresses
            sourcePortRange: '*'
            destinationAddressPrefix: endpointAddresses
            destinationPortRanges: ['443', '10000']
          }
        }
        {
          name: 'neighbours-out'
          properties: union(denyAll, {
            direction: 'Outbound'
            priority: 200
            destinationAddressPrefix: 'VirtualNetwork'
          })
        }
        {
          name: 'https-out'
          properties: {
            direction: 'Outbound'
            priority: 300
            access: 'Allow'
            protocol: 'Tcp'
            sourceAddressPrefix: workerAddresses
            sourcePortRange: '*'
            destinationAddressPrefix: 'Internet'
            destinationPortRange: '443'
          }
        }
        {
          name: 'nothing-else-out'
          properties: union(denyAll, { direction: 'Outbound', priority: 400 })
        }
      ]
    )
  }
}

resource appRules 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${name}-apps'
  location: location
  tags: tags
  properties: {
    securityRules: concat(
      [
        {
          name: 'no-workers-in'
          properties: union(denyAll, {
            direction: 'Inbound'
            priority: 100
            sourceAddressPrefix: workerAddresses
          })
        }
      ],
      publicApi
        ? [
            {
              name: 'api-in'
              properties: {
                direction: 'Inbound'
                priority: 200
                access: 'Allow'
                protocol: 'Tcp'
                sourceAddressPrefix: 'Internet'
                sourcePortRange: '*'
                destinationAddressPrefix: appAddresses
                destinationPortRanges: ['443', '31443']
              }
            }
          ]
        : []
    )
  }
}

resource endpointRules 'Microsoft.Network/networkSecurityGroups@2024-05-01' = {
  name: '${name}-endpoints'
  location: location
  tags: tags
  properties: {
    securityRules: concat(
      [
        {
          name: 'roles-in'
          properties: {
            direction: 'Inbound'
            priority: 100
            access: 'Allow'
            protocol: 'Tcp'
            sourceAddressPrefixes: [appAddresses, workerAddresses]
            sourcePortRange: '*'
            destinationAddressPrefix: endpointAddresses
            destinationPortRanges: ['443', '10000']
          }
        }
        {
          name: 'nothing-else-in'
          properties: union(denyAll, { direction: 'Inbound', priority: 300 })
        }
      ],
      // To accounts and registry, where it still takes an identity or a signature; not to Redis.
      empty(clientAddresses)
        ? []
        : [
            {
              name: 'clients-in'
              properties: {
                direction: 'Inbound'
                priority: 150
                access: 'Allow'
                protocol: 'Tcp'
                sourceAddressPrefixes: clientAddresses
                sourcePortRange: '*'
                destinationAddressPrefix: endpointAddresses
                destinationPortRange: '443'
              }
            }
          ],
      // NFS knows no identities: whoever reaches the share may read it. The workers don't.
      fileShare
        ? [
            {
              name: 'share-in'
              properties: {
                direction: 'Inbound'
                priority: 200
                access: 'Allow'
                protocol: 'Tcp'
                sourceAddressPrefix: appAddresses
                sourcePortRange: '*'
                destinationAddressPrefix: endpointAddresses
                destinationPortRange: '2049'
              }
            }
          ]
        : []
    )
  }
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addresses] }
    subnets: [
      {
        name: 'apps'
        properties: {
          addressPrefix: appAddresses
          defaultOutboundAccess: false
          natGateway: { id: gateway.id }
          networkSecurityGroup: { id: appRules.id }
          delegations: [
            {
              name: 'apps'
              properties: { serviceName: 'Microsoft.App/environments' }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: endpointAddresses
          defaultOutboundAccess: false
          networkSecurityGroup: { id: endpointRules.id }
          privateEndpointNetworkPolicies: 'Enabled'
        }
      }
      {
        name: 'workers'
        properties: {
          addressPrefix: workerAddresses
          defaultOutboundAccess: false
          natGateway: { id: gateway.id }
          networkSecurityGroup: { id: workerRules.id }
        }
      }
    ]
  }

  resource apps 'subnets' existing = { name: 'apps' }
  resource endpoints 'subnets' existing = { name: 'endpoints' }
  resource workers 'subnets' existing = { name: 'workers' }
}

resource privateZones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for zone in zones: {
    name: zone
    location: 'global'
    tags: tags
  }
]

resource zoneLinks 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (zone, i) in zones: {
    parent: privateZones[i]
    name: name
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: { id: network.id }
    }
  }
]

@description('The network.')
output id string = network.id

@description('Subnet of the container apps.')
output appsSubnetId string = network::apps.id

@description('Subnet of the private endpoints.')
output endpointsSubnetId string = network::endpoints.id

@description('Subnet of the workers.')
output workersSubnetId string = network::workers.id

@description('Zone of the private endpoints of blobs.')
output blobZoneId string = privateZones[0].id

@description('Zone of the private endpoints of queues.')
output queueZoneId string = privateZones[1].id

@description('Zone of the private endpoints of file shares.')
output fileZoneId string = privateZones[2].id

@description('Zone of the private endpoint of Redis.')
output redisZoneId string = privateZones[3].id

@description('Zone of the private endpoint of the registry.')
output registryZoneId string = privateZones[4].id
