@description('What the names of the identities begin with.')
param prefix string

@description('Where they lie.')
param location string

@description('Tags of every resource.')
param tags object

@description('Who gets one: the roles, and what collects metrics.')
param holders string[]

// One for each, so that a stolen one does little. What each may do stands where it is granted.
resource identities 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = [
  for holder in holders: {
    name: '${prefix}-${holder}'
    location: location
    tags: tags
  }
]

@description('What Azure knows each of them by, in the order of `holders`: another one once they were removed and made again.')
output principalIds string[] = [for (holder, i) in holders: identities[i].properties.principalId]
