@description('Name of the registry.')
param name string

@description('Where it lies.')
param location string

@description('Tags of every resource.')
param tags object

@description('Names of the identities that fetch images.')
param identityNames string[]

@description('Addresses or ranges from which images are put in. Empty: only from within the network, by who may.')
param builderAddresses string[]

@description('Subnet of the private endpoints.')
param endpointsSubnetId string

@description('Zone of its private endpoint.')
param zoneId string

@description('Workspace of the logs.')
param workspaceId string

var acrPull = subscriptionResourceId(
  'Microsoft.Authorization/roleDefinitions',
  '7f951dda-4ed3-4680-a7ca-43fe172d538d'
)

resource registry 'Microsoft.ContainerRegistry/registries@2023-07-01' = {
  name: name
  location: location
  tags: tags
  // The smallest that has private endpoints.
  sku: { name: 'Premium' }
  properties: {
    adminUserEnabled: false
    anonymousPullEnabled: false
    dataEndpointEnabled: false
    networkRuleBypassOptions: 'None'
    publicNetworkAccess: empty(builderAddresses) ? 'Disabled' : 'Enabled'
    networkRuleSet: {
      defaultAction: 'Deny'
      ipRules: [
        for address in builderAddresses: {
          action: 'Allow'
          value: address
        }
      ]
    }
    policies: {
      azureADAuthenticationAsArmPolicy: { status: 'enabled' }
      exportPolicy: { status: empty(builderAddresses) ? 'disabled' : 'enabled' }
      retentionPolicy: { status: 'enabled', days: 30 }
    }
  }
}

resource identities 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = [
  for identityName in identityNames: {
    name: identityName
  }
]

resource pulls 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (identityName, i) in identityNames: {
    name: guid(registry.id, identityName, acrPull)
    scope: registry
    properties: {
      principalId: identities[i].properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: acrPull
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
    targetId: registry.id
    service: 'registry'
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: registry
  properties: {
    workspaceId: workspaceId
    logs: [
      { category: 'ContainerRegistryLoginEvents', enabled: true }
      { category: 'ContainerRegistryRepositoryEvents', enabled: true }
    ]
  }
}

@description('Its host, such as name.azurecr.io.')
output server string = registry.properties.loginServer
