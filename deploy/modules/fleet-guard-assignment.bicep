@description('Name of the assignment.')
param name string

@description('The policy that is to hold for this group.')
param definitionId string

@description('Whether it denies, or only says what it would deny.')
param isEnforced bool

resource assignment 'Microsoft.Authorization/policyAssignments@2023-04-01' = {
  name: name
  properties: {
    displayName: 'framefleet: what machines of the fleet are'
    policyDefinitionId: definitionId
    enforcementMode: isEnforced ? 'Default' : 'DoNotEnforce'
    nonComplianceMessages: [
      { message: 'Machines of this fleet are of one size and image, and have no extension. A deployment changes that.' }
    ]
  }
}
