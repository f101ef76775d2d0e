@description('Name of the scale set.')
param name string

resource fleet 'Microsoft.Compute/virtualMachineScaleSets@2024-11-01' existing = {
  name: name
}

@description('How many machines it is to have at the moment.')
output capacity int = fleet.sku.capacity
