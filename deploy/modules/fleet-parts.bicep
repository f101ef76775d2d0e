@description('Name of the identity of the autoscaler.')
param autoscalerName string

@description('Name of the identity of the workers.')
param workerName string

@description('Name of the network.')
param networkName string

@description('Name of the subnet of the workers.')
param subnetName string

@description('The role that the autoscaler is granted on both.')
param roleDefinitionId string

resource autoscaler 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: autoscalerName
}

resource worker 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: workerName
}

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' existing = {
  name: networkName

  resource workers 'subnets' existing = { name: subnetName }
}

resource joining 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(network::workers.id, autoscaler.id, roleDefinitionId)
  scope: network::workers
  properties: {
    principalId: autoscaler.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: roleDefinitionId
  }
}

resource assigning 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(worker.id, autoscaler.id, roleDefinitionId)
  scope: worker
  properties: {
    principalId: autoscaler.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: roleDefinitionId
  }
}
