targetScope = 'subscription'

@description('Name of the policy.')
param name string

@description('The group of the fleet, which the policy holds for.')
param groupName string

@description('The only size that machines may have.')
param size string

@description('The only image that machines may have: `id`, or publisher, offer and sku; of any version, since Azure renews those.')
param image object

@description('Whether it denies, or only says what it would deny.')
param isEnforced bool

var sets = 'Microsoft.Compute/virtualMachineScaleSets'
// Those of a flexible set, which are resources of their own: who may make them need not ask the set.
var machines = 'Microsoft.Compute/virtualMachines'
var isOtherImage = contains(image, 'id')
  ? [{ field: 'Microsoft.Compute/imageId', notEquals: image.id }]
  : [
      { field: 'Microsoft.Compute/imagePublisher', notEquals: image.publisher }
      { field: 'Microsoft.Compute/imageOffer', notEquals: image.offer }
      { field: 'Microsoft.Compute/imageSKU', notEquals: image.sku }
    ]

// Whoever may change how many machines there are may change what they are. This denies it, to everybody: a deployment with
// another size or image changes the policy first, and Azure takes up to half an hour to follow.
resource definition 'Microsoft.Authorization/policyDefinitions@2023-04-01' = {
  name: name
  properties: {
    displayName: 'framefleet: the machines of ${groupName} are what they were deployed as'
    description: 'Denies scale sets and machines of another size, with another image, an extension or passwords.'
    policyType: 'Custom'
    mode: 'All'
    policyRule: {
      if: {
        anyOf: [
          {
            allOf: [
              { field: 'type', equals: sets }
              {
                anyOf: concat(isOtherImage, [
                  { field: '${sets}/sku.name', notEquals: size }
                  { count: { field: '${sets}/extensionProfile.extensions[*]' }, greater: 0 }
                  {
                    field: '${sets}/osProfile.linuxConfiguration.disablePasswordAuthentication'
                    notEquals: true
                  }
                ])
              }
            ]
          }
          {
            allOf: [
              { field: 'type', equals: machines }
              {
                anyOf: concat(isOtherImage, [
                  { field: '${machines}/sku.name', notEquals: size }
                  {
                    field: '${machines}/osProfile.linuxConfiguration.disablePasswordAuthentication'
                    notEquals: true
                  }
                ])
              }
            ]
          }
          { field: 'type', equals: '${machines}/extensions' }
          { field: 'type', equals: '${sets}/extensions' }
        ]
      }
      then: { effect: 'deny' }
    }
  }
}

module assignment 'fleet-guard-assignment.bicep' = {
  scope: resourceGroup(groupName)
  name: name
  params: {
    name: name
    definitionId: definition.id
    isEnforced: isEnforced
  }
}
