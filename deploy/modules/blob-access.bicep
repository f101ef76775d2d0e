@description('Name of the identity that is granted something.')
param identityName string

@description('Name of the storage account.')
param accountName string

@description('The container that it is granted for.')
param containerName string

@description('The role that it is granted.')
param roleDefinitionId string

@description('Where it may write and remove: what the names of blobs begin with. Empty for anywhere in the container.')
param writesUnder string = ''

var path = '@Resource[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:path] StringStartsWith \'${writesUnder}\''
var changes = [
  'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write'
  'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action'
  'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete'
]
var isNoChange = join(map(changes, change => '!(ActionMatches{\'${change}\'})'), ' AND ')

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: accountName

  resource blobs 'blobServices' existing = {
    name: 'default'

    resource container 'containers' existing = {
      name: containerName
    }
  }
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: identityName
}

resource grant 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account::blobs::container.id, identity.id, roleDefinitionId)
  scope: account::blobs::container
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: roleDefinitionId
    condition: empty(writesUnder) ? null : '((${isNoChange}) OR (${path}))'
    conditionVersion: empty(writesUnder) ? null : '2.0'
  }
}
