@description('What the names of the resources begin with.')
param prefix string

@description('Where they lie.')
param location string

@description('Tags of every resource.')
param tags object

@description('Who is written to when an alert goes off.')
param emails string[]

@description('Name of the identity that hands metrics in.')
param collectorName string

@description('Names of the identities that hand traces in.')
param tracerNames string[]

var publishMetrics = subscriptionResourceId(
  'Microsoft.Authorization/roleDefinitions',
  '3913510d-42f4-4e42-8a64-420c390055eb'
)

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: '${prefix}-logs'
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: 30
    features: { disableLocalAuth: true }
    // A role that can't stop writing is not to be the dearest thing here.
    workspaceCapping: { dailyQuotaGb: 5 }
  }
}

// What took how long, of each job. Who hands in says who it is; the key in its address opens nothing.
resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: '${prefix}-traces'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
    publicNetworkAccessForIngestion: 'Enabled'
    publicNetworkAccessForQuery: 'Enabled'
  }
}

resource tracers 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = [
  for tracerName in tracerNames: {
    name: tracerName
  }
]

resource tracing 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (tracerName, i) in tracerNames: {
    name: guid(insights.id, tracerName, publishMetrics)
    scope: insights
    properties: {
      principalId: tracers[i].properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: publishMetrics
    }
  }
]

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: '${prefix}-people'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'framefleet'
    enabled: true
    emailReceivers: [
      for (email, i) in emails: {
        name: 'person-${i}'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

// The roles' own metrics: a Prometheus in the apps' environment takes them from /metrics and hands them in here.
resource metrics 'Microsoft.Monitor/accounts@2023-04-03' = {
  name: '${prefix}-metrics'
  location: location
  tags: tags
}

resource entrance 'Microsoft.Insights/dataCollectionEndpoints@2023-03-11' = {
  name: '${prefix}-metrics-in'
  location: location
  tags: tags
  properties: {
    networkAcls: { publicNetworkAccess: 'Enabled' }
  }
}

resource rule 'Microsoft.Insights/dataCollectionRules@2023-03-11' = {
  name: '${prefix}-metrics-in'
  location: location
  tags: tags
  properties: {
    dataCollectionEndpointId: entrance.id
    dataSources: {
      prometheusForwarder: [
        { name: 'prometheus', streams: ['Microsoft-PrometheusMetrics'] }
      ]
    }
    destinations: {
      monitoringAccounts: [
        { name: 'metrics', accountResourceId: metrics.id }
      ]
    }
    dataFlows: [
      { streams: ['Microsoft-PrometheusMetrics'], destinations: ['metrics'] }
    ]
  }
}

resource collector 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: collectorName
}

resource handingIn 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(rule.id, collector.id, publishMetrics)
  scope: rule
  properties: {
    principalId: collector.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: publishMetrics
  }
}

@description('Workspace of the logs.')
output workspaceId string = workspace.id

@description('Who hears of alerts.')
output peopleId string = people.id

@description('Where metrics are kept.')
output metricsId string = metrics.id

@description('Where Prometheus hands metrics in.')
output metricsUrl string = '${entrance.properties.metricsIngestion.endpoint}/dataCollectionRules/${rule.properties.immutableId}/streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24'

@description('Where traces are handed in.')
output tracesUrl string = insights.properties.ConnectionString
