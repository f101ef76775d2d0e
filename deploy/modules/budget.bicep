targetScope = 'subscription'

@description('Name of the budget.')
param name string

@description('What all groups together may cost a month, in the currency of the subscription.')
param amount int

@description('Names of the groups that it is for.')
param groupNames string[]

@description('First day of a month, such as 2026-11-01.')
param start string

@description('Who is written to.')
param emails string[]

resource budget 'Microsoft.Consumption/budgets@2023-11-01' = {
  name: name
  properties: {
    category: 'Cost'
    amount: amount
    timeGrain: 'Monthly'
    timePeriod: { startDate: start }
    filter: {
      dimensions: { name: 'ResourceGroupName', operator: 'In', values: groupNames }
    }
    notifications: {
      half: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 50
        thresholdType: 'Actual'
        contactEmails: emails
      }
      spent: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 100
        thresholdType: 'Actual'
        contactEmails: emails
      }
      soon: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 100
        thresholdType: 'Forecasted'
        contactEmails: emails
      }
    }
  }
}
