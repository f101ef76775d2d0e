@description('What the names of the alerts begin with.')
param prefix string

@description('Where the rules lie: where the metrics do.')
param location string

@description('Tags of every resource.')
param tags object

@description('Where the metrics of the roles are kept.')
param metricsId string

@description('Who hears of alerts.')
param peopleId string

@description('The Redis.')
param redisId string

// One list for Azure and for a Prometheus of one's own. What feeds each rule stands there.
var rules = loadJsonContent('../alerts/rules.json')

resource fromRoles 'Microsoft.AlertsManagement/prometheusRuleGroups@2023-03-01' = {
  name: '${prefix}-roles'
  location: location
  tags: tags
  properties: {
    description: 'What the roles say of themselves.'
    enabled: true
    interval: 'PT1M'
    scopes: [metricsId]
    rules: [
      for rule in rules: {
        alert: rule.alert
        expression: rule.expression
        for: rule.for
        severity: rule.severity
        enabled: true
        annotations: { summary: rule.summary }
        resolveConfiguration: { autoResolved: true, timeToResolve: 'PT10M' }
        actions: [{ actionGroupId: peopleId }]
      }
    ]
  }
}

// Full, it refuses to take anything: see its eviction policy.
resource redisMemory 'Microsoft.Insights/metricAlerts@2018-03-01' = {
  name: '${prefix}-redis-memory'
  location: 'global'
  tags: tags
  properties: {
    description: 'Redis is 80 % full: a larger size is needed, or the line is too long.'
    severity: 1
    enabled: true
    scopes: [redisId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'memory'
          criterionType: 'StaticThresholdCriterion'
          metricName: 'usedmemorypercentage'
          timeAggregation: 'Maximum'
          operator: 'GreaterThan'
          threshold: 80
        }
      ]
    }
    actions: [{ actionGroupId: peopleId }]
  }
}
