targetScope = 'subscription'

@description('What makes the names of the roles one of a kind in the tenant.')
param prefix string

@description('Group of what is stored and of the apps.')
param groupId string

@description('Group of the machines.')
param fleetGroupId string

@description('Names of the role definitions: `editor`, `remover`, `segments`, `logs`, `arrivals`, `fleet`, `parts`, `machines` and `operations`.')
param roleNames object

@description('What Azure knows the identity of the autoscaler by.')
param autoscalerPrincipalId string

var blobs = 'Microsoft.Storage/storageAccounts/blobServices/containers/blobs'
var containers = 'Microsoft.Storage/storageAccounts/blobServices/containers'
var messages = 'Microsoft.Storage/storageAccounts/queueServices/queues/messages'
var sets = 'Microsoft.Compute/virtualMachineScaleSets'

// Azure's own Storage Blob Data Contributor may also remove the container with all that is in it. To write to the container
// is what Azure asks of whoever removes many blobs at once, as all do who end a job.
resource editor 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: roleNames.editor
  properties: {
    roleName: '${prefix} blob editor'
    description: 'Reads, writes and removes blobs; can\'t remove a container.'
    type: 'CustomRole'
    assignableScopes: [groupId]
    permissions: [
      {
        actions: ['${containers}/read', '${containers}/write']
        dataActions: ['${blobs}/read', '${blobs}/write', '${blobs}/add/action', '${blobs}/delete']
      }
    ]
  }
}

// For who ends a job: reads what was accepted with it, and clears it away.
resource remover 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: roleNames.remover
  properties: {
    roleName: '${prefix} blob remover'
    description: 'Reads and removes blobs; can\'t write any, or remove a container.'
    type: 'CustomRole'
    assignableScopes: [groupId]
    permissions: [
      {
        actions: ['${containers}/read', '${containers}/write']
        dataActions: ['${blobs}/read', '${blobs}/delete']
      }
    ]
  }
}

// Granted with a condition on where: see the grant.
resource segments 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: roleNames.segments
  properties: {
    roleName: '${prefix} segment writer'
    description: 'Writes and removes blobs.'
    type: 'CustomRole'
    assignableScopes: [groupId]
    permissions: [
      {
        actions: []
        dataActions: ['${blobs}/write', '${blobs}/add/action', '${blobs}/delete']
      }
    ]
  }
}

// Makes blobs that are not there and adds to those that are: what somebody has said can't be taken back. To read is how a
// role finds out whether a line that it heard nothing of was taken. Granted with a condition on where.
resource logs 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: roleNames.logs
  properties: {
    roleName: '${prefix} log writer'
    description: 'Makes blobs, adds to them and reads them; can\'t overwrite or remove any.'
    type: 'CustomRole'
    assignableScopes: [groupId]
    permissions: [
      {
        actions: ['${containers}/read']
        dataActions: ['${blobs}/read', '${blobs}/add/action']
      }
    ]
  }
}

// Azure's own Storage Queue Data Message Processor may not say that it needs a message for longer; the next one up may remove
// the queue.
resource arrivals 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: roleNames.arrivals
  properties: {
    roleName: '${prefix} message taker'
    description: 'Takes messages from a queue, keeps them for a while, removes them.'
    type: 'CustomRole'
    assignableScopes: [groupId]
    permissions: [
      {
        actions: []
        dataActions: ['${messages}/read', '${messages}/process/action', '${messages}/write']
      }
    ]
  }
}

// Azure knows no right to the size of a scale set alone: `scale/action` only asks whether a size is possible, `scaleOut` of
// the REST interface is no operation that a role can name, and `write` changes the machines' model as well. What bounds it:
//   - it is granted on this one scale set, not on its group: no other can be made;
//   - of what machines are made of it may use the workers' subnet and identity alone (`parts`), and write no extension;
//   - the policy of fleet-guard denies another size of machine, another image, and any extension, to everybody, of machines
//     of the set as of those beside it.
// What is left: another start script for machines to come. They'd run it as workers, whose rights are the narrowest.
resource fleet 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: roleNames.fleet
  properties: {
    roleName: '${prefix} fleet scaler'
    description: 'Reads the scale set, changes how many machines it has, removes machines by name.'
    type: 'CustomRole'
    assignableScopes: [fleetGroupId]
    permissions: [
      {
        actions: [
          '${sets}/read'
          '${sets}/write'
          '${sets}/delete/action'
          '${sets}/virtualMachines/read'
          '${sets}/virtualMachines/instanceView/read'
        ]
        dataActions: []
      }
    ]
  }
}

// Azure may ask for these of whoever grows a scale set. They are worth nothing to one who may write to that one set alone.
resource parts 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: roleNames.parts
  properties: {
    roleName: '${prefix} fleet parts'
    description: 'Uses a subnet and an identity for machines.'
    type: 'CustomRole'
    assignableScopes: [groupId]
    permissions: [
      {
        actions: [
          'Microsoft.Network/virtualNetworks/subnets/join/action'
          'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action'
        ]
        dataActions: []
      }
    ]
  }
}

// With flexible orchestration the machines are resources of their own, in the group of the fleet, and whoever grows the set
// needs the right to make them, with their disks and network interfaces.
resource machines 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: roleNames.machines
  properties: {
    roleName: '${prefix} machine maker'
    description: 'Makes, reads and removes machines of a flexible scale set.'
    type: 'CustomRole'
    assignableScopes: [fleetGroupId]
    permissions: [
      {
        actions: [
          'Microsoft.Compute/virtualMachines/read'
          'Microsoft.Compute/virtualMachines/write'
          'Microsoft.Compute/virtualMachines/instanceView/read'
          'Microsoft.Compute/virtualMachines/delete'
          'Microsoft.Compute/disks/read'
          'Microsoft.Compute/disks/write'
          'Microsoft.Compute/disks/delete'
          'Microsoft.Network/networkInterfaces/read'
          'Microsoft.Network/networkInterfaces/write'
          'Microsoft.Network/networkInterfaces/join/action'
          'Microsoft.Network/networkInterfaces/delete'
        ]
        dataActions: []
      }
    ]
  }
}

// How a change that takes minutes is getting on is asked of the subscription.
resource operations 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: roleNames.operations
  properties: {
    roleName: '${prefix} operation watcher'
    description: 'Reads how operations of Microsoft.Compute are getting on.'
    type: 'CustomRole'
    assignableScopes: [subscription().id]
    permissions: [
      {
        actions: ['Microsoft.Compute/locations/operations/read']
        dataActions: []
      }
    ]
  }
}

// It outlives its groups, and can't be handed to another: one that is made anew gets a grant of another name.
resource watching 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subscription().id, autoscalerPrincipalId, roleNames.operations)
  properties: {
    principalId: autoscalerPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: operations.id
  }
}
