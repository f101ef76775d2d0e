@description('Name of the topic.')
param name string

@description('Where it lies.')
param location string

@description('Tags of every resource.')
param tags object

@description('Name of the media account.')
param accountName string

@description('Container whose new blobs are told of.')
param containerName string

@description('What the names of such blobs begin with.')
param prefix string

@description('Queue that they are told to.')
param queueName string

@description('Container of the events that could not be delivered.')
param undeliveredName string

@description('Name of the identity that takes from the queue.')
param receiverName string

@description('The role that it is granted on the queue.')
param receiverRoleId string

var sendMessages = subscriptionResourceId(
  'Microsoft.Authorization/roleDefinitions',
  'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
)
var writeBlobs = subscriptionResourceId(
  'Microsoft.Authorization/roleDefinitions',
  'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
)

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: accountName

  resource messages 'queueServices' existing = {
    name: 'default'

    resource queue 'queues' existing = {
      name: queueName
    }
  }

  resource blobs 'blobServices' existing = {
    name: 'default'

    resource undelivered 'containers' existing = {
      name: undeliveredName
    }
  }
}

resource receiver 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: receiverName
}

resource receiving 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account::messages::queue.id, receiver.id, receiverRoleId)
  scope: account::messages::queue
  properties: {
    principalId: receiver.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: receiverRoleId
  }
}

// An account without a door lets Event Grid in by the identity that the topic itself has, and by no other.
resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: name
  location: location
  tags: tags
  identity: { type: 'SystemAssigned' }
  properties: {
    source: account.id
    topicType: 'Microsoft.Storage.StorageAccounts'
  }
}

resource sending 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account::messages::queue.id, topic.id, sendMessages)
  scope: account::messages::queue
  properties: {
    principalId: topic.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: sendMessages
  }
}

resource keeping 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account::blobs::undelivered.id, topic.id, writeBlobs)
  scope: account::blobs::undelivered
  properties: {
    principalId: topic.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: writeBlobs
  }
}

resource arrivals 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'arrivals'
  properties: {
    eventDeliverySchema: 'CloudEventSchemaV1_0'
    filter: {
      includedEventTypes: ['Microsoft.Storage.BlobCreated']
      subjectBeginsWith: '/blobServices/default/containers/${containerName}/blobs/${prefix}'
      advancedFilters: [
        // Once a blob is whole: not at every block.
        {
          operatorType: 'StringIn'
          key: 'data.api'
          values: ['CopyBlob', 'PutBlob', 'PutBlockList', 'FlushWithClose']
        }
      ]
    }
    deliveryWithResourceIdentity: {
      identity: { type: 'SystemAssigned' }
      destination: {
        endpointType: 'StorageQueue'
        properties: {
          resourceId: account.id
          queueName: queueName
          // A week, in which somebody may mend the producer.
          queueMessageTimeToLiveInSeconds: 604800
        }
      }
    }
    deadLetterWithResourceIdentity: {
      identity: { type: 'SystemAssigned' }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: { resourceId: account.id, blobContainerName: undeliveredName }
      }
    }
    retryPolicy: { maxDeliveryAttempts: 30, eventTimeToLiveInMinutes: 1440 }
  }
  dependsOn: [sending, keeping]
}
