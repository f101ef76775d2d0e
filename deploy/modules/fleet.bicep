@description('Name of the scale set.')
param name string

@description('Where it lies.')
param location string

@description('Tags of every resource.')
param tags object

@description('The size of its machines, and what comes with it: one of presets/.')
param preset object

@description('How many machines there are to be: those that there are, for the autoscaler alone changes that.')
param capacity int

@description('`Spot`: a third of the price, and Azure may take a machine away with 30 seconds\' notice. `Regular`: neither.')
@allowed(['Spot', 'Regular'])
param priority string

@description('Whether machines are resources of their own (`Flexible`), or parts of the scale set (`Uniform`). Fixed for good when it is made.')
@allowed(['Uniform', 'Flexible'])
param orchestrationMode string

@description('Image of the machines, with the driver of the GPU, Docker and NVIDIA\'s runtime: `id`, or publisher, offer, sku and version.')
param image object

@description('Whether the machines have a virtual TPM and measure how they start.')
param trustedLaunch bool

@description('Whether such machines start what is signed alone: NVIDIA\'s driver has to be, then.')
param secureBoot bool

@description('Public key of whoever may sign in, from where the network lets them.')
param sshPublicKey string

@description('Subnet of the workers.')
param subnetId string

@description('Group of the identities.')
param identitiesGroup string

@description('Name of the identity of the workers.')
param workerName string

@description('Name of the identity of the autoscaler.')
param autoscalerName string

@description('Role of the autoscaler on the scale set.')
param fleetRoleId string

@description('Role of the autoscaler on the machines of a flexible scale set.')
param machinesRoleId string

@description('Host of the registry.')
param registryServer string

@description('Image of the worker.')
param workerImage string

@description('Settings of the worker, one for each variable.')
param settings object

var isFlexible = orchestrationMode == 'Flexible'
var isSpot = priority == 'Spot'

resource worker 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  scope: resourceGroup(identitiesGroup)
  name: workerName
}

resource autoscaler 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  scope: resourceGroup(identitiesGroup)
  name: autoscalerName
}

var workerSettings = union(settings, {
  AZURE_CLIENT_ID: worker.properties.clientId
  FRAMEFLEET_CACHE_DIR: '/work/cache'
  FRAMEFLEET_CACHE_MAX_BYTES: string(preset.cacheBytes)
  FRAMEFLEET_SCRATCH_DIR: '/work/scratch'
  // A machine that is paid for its GPU does not score without it.
  FRAMEFLEET_DEVICE: 'cuda'
  // Each container sees one GPU.
  FRAMEFLEET_DEVICE_ID: '0'
  FRAMEFLEET_IMDS_URL: 'http://169.254.169.254'
})

var machineSettings = {
  CLIENT_ID: worker.properties.clientId
  // The oldest driver that the CUDA of the workers' image runs on: see image/cuda-requirements.txt.
  OLDEST_DRIVER: '580'
  GPUS: string(preset.gpus)
  IMAGE: workerImage
  REGISTRY: registryServer
  // Whom the token is for that the registry takes in exchange: another in another cloud.
  RESOURCE_MANAGER: environment().resourceManager
}

var lines = {
  worker: join(map(items(workerSettings), each => '${each.key}=${each.value}\n'), '')
  machine: join(map(items(machineSettings), each => '${each.key}=${each.value}\n'), '')
}

// JSON is YAML: no indentation can go wrong here.
var cloudConfig = {
  write_files: [
    { path: '/etc/framefleet/worker.env', permissions: '0644', content: lines.worker }
    { path: '/etc/framefleet/machine.env', permissions: '0644', content: lines.machine }
    {
      path: '/opt/framefleet/prepare-disk.sh'
      permissions: '0755'
      content: loadTextContent('../worker/prepare-disk.sh')
    }
    {
      path: '/opt/framefleet/prepare-machine.sh'
      permissions: '0755'
      content: loadTextContent('../worker/prepare-machine.sh')
    }
    {
      path: '/opt/framefleet/run-worker.sh'
      permissions: '0755'
      content: loadTextContent('../worker/run-worker.sh')
    }
    {
      path: '/etc/systemd/system/framefleet-worker@.service'
      permissions: '0644'
      content: loadTextContent('../worker/framefleet-worker@.service')
    }
  ]
  runcmd: [
    ['/opt/framefleet/prepare-machine.sh']
  ]
}

resource fleet 'Microsoft.Compute/virtualMachineScaleSets@2024-11-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: preset.size
    tier: 'Standard'
    capacity: capacity
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${worker.id}': {} }
  }
  properties: {
    orchestrationMode: orchestrationMode
    platformFaultDomainCount: 1
    singlePlacementGroup: false
    // More machines than asked for, of which Azure takes some away again, would have taken batches by then.
    overprovision: isFlexible ? null : false
    // A machine keeps the model that it was made with. A new one comes with new machines: those that are idle go.
    upgradePolicy: { mode: 'Manual' }
    // No health extension and no repairs by Azure: a worker that is busy may be slow to answer, and would be taken away. The
    // autoscaler removes machines whose workers are silent.
    virtualMachineProfile: {
      priority: priority
      evictionPolicy: isSpot ? 'Delete' : null
      billingProfile: isSpot ? { maxPrice: -1 } : null
      osProfile: {
        computerNamePrefix: 'worker'
        adminUsername: 'framefleet'
        allowExtensionOperations: false
        customData: base64('#cloud-config\n${string(cloudConfig)}')
        linuxConfiguration: {
          disablePasswordAuthentication: true
          provisionVMAgent: true
          ssh: {
            publicKeys: [
              { path: '/home/framefleet/.ssh/authorized_keys', keyData: sshPublicKey }
            ]
          }
        }
      }
      securityProfile: union(
        { encryptionAtHost: true },
        trustedLaunch
          ? {
              securityType: 'TrustedLaunch'
              uefiSettings: { secureBootEnabled: secureBoot, vTpmEnabled: true }
            }
          : {}
      )
      storageProfile: {
        imageReference: image
        osDisk: union(
          {
            createOption: 'FromImage'
            caching: 'ReadWrite'
            managedDisk: { storageAccountType: 'StandardSSD_LRS' }
          },
          isFlexible ? { deleteOption: 'Delete' } : {}
        )
      }
      networkProfile: union(
        {
          networkInterfaceConfigurations: [
            {
              name: 'worker'
              properties: union(
                {
                  primary: true
                  enableAcceleratedNetworking: true
                  ipConfigurations: [
                    {
                      name: 'worker'
                      properties: {
                        primary: true
                        subnet: { id: subnetId }
                      }
                    }
                  ]
                },
                isFlexible ? { deleteOption: 'Delete' } : {}
              )
            }
          ]
        },
        isFlexible ? { networkApiVersion: '2022-11-01' } : {}
      )
      scheduledEventsProfile: {
        terminateNotificationProfile: { enable: true, notBeforeTimeout: 'PT5M' }
      }
      diagnosticsProfile: {
        bootDiagnostics: { enabled: true }
      }
    }
  }
}

resource scaling 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(fleet.id, autoscaler.id, fleetRoleId)
  scope: fleet
  properties: {
    principalId: autoscaler.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: fleetRoleId
  }
}

resource making 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (isFlexible) {
  name: guid(resourceGroup().id, autoscaler.id, machinesRoleId)
  properties: {
    principalId: autoscaler.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: machinesRoleId
  }
}

@description('The scale set.')
output id string = fleet.id
