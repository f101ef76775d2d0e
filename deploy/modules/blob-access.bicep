@description('Name of the identity that is granted something.')
param identityName string

@description('Name of the storage account.')
param accountName string

@description('The container that it is granted for.')
param containerName string

@description('The role that it is granted.')
param roleDefinitionId string

@description('Patterns of the names of blobs that the grant is for, such as `jobs/*/segments/*`. Empty: for all in the container.')
param names string[] = []

@description('Patterns of names that it is not for, even so.')
param except string[] = []

var blobs = 'Microsoft.Storage/storageAccounts/blobServices/containers/blobs'
// To list names no blob: where a grant is for some names alone it is refused.
var isOther = join(map(['read', 'write', 'add/action', 'delete'], each => '!(ActionMatches{\'${blobs}/${each}\'})'), ' AND ')
var isNamed = join(map(names, name => '@Resource[${blobs}:path] StringLike \'${name}\''), ' OR ')
var isNoOther = join(map(except, name => ' AND @Resource[${blobs}:path] StringNotLike \'${name}\''), '')

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
    condition: empty(names) ? null : '((${isOther}) OR ((${isNamed})${isNoOther}))'
    conditionVersion: empty(names) ? null : '2.0'
  }
}
