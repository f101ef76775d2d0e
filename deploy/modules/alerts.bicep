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

// One list for Azure and for a Prometheus of one's own. The workers' own metrics are not taken here: no rule needs them.
var rules = loadYamlContent('../prometheus/rules.yml').groups[0]
var severities = { critical: 1, warning: 2 }

resource fromRoles 'Microsoft.AlertsManagement/prometheusRuleGroups@2023-03-01' = {
  name: '${prefix}-roles'
  location: location
  tags: tags
  properties: {
    description: 'What the roles say of themselves.'
    enabled: true
    interval: 'PT${toUpper(rules.interval)}'
    scopes: [metricsId]
    rules: [
      for rule in rules.rules: {
        alert: rule.alert
        expression: rule.expr
        for: 'PT${toUpper(rule.for)}'
        severity: severities[rule.labels.severity]
        enabled: true
        annotations: rule.annotations
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
