using 'main.bicep'

// What `azd` knows, or the shell has: see README.md. What is not named here has its default in main.bicep.
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME')
param location = readEnvironmentVariable('AZURE_LOCATION')
param fleetExists = bool(readEnvironmentVariable('FLEET_EXISTS'))
param imageTag = readEnvironmentVariable('IMAGE_TAG', '')
param apiAudience = readEnvironmentVariable('API_AUDIENCE')
param gpu = readEnvironmentVariable('GPU', 't4')
param priority = readEnvironmentVariable('PRIORITY', 'Spot')
param fleetMax = int(readEnvironmentVariable('FLEET_MAX', '4'))
param workerHourPrice = readEnvironmentVariable('WORKER_HOUR_PRICE', '0')
param publicApi = bool(readEnvironmentVariable('PUBLIC_API', 'false'))
param sourceHosts = readEnvironmentVariable('SOURCE_HOSTS', '')
param producers = int(readEnvironmentVariable('PRODUCERS', '2'))
param stitchers = int(readEnvironmentVariable('STITCHERS', '2'))
param keepJobsDays = int(readEnvironmentVariable('KEEP_JOBS_DAYS', '0'))
param keepReadingsDays = int(readEnvironmentVariable('KEEP_READINGS_DAYS', '0'))
param scratchGiB = int(readEnvironmentVariable('SCRATCH_GIB', '0'))
param sshPublicKey = readEnvironmentVariable('SSH_PUBLIC_KEY')
param emails = split(readEnvironmentVariable('ALERT_EMAILS'), ',')
param monthlyBudget = int(readEnvironmentVariable('MONTHLY_BUDGET'))
param budgetStart = readEnvironmentVariable('BUDGET_START')

// Addresses or ranges, separated by commas.
param apiAddresses = empty(readEnvironmentVariable('API_ADDRESSES', ''))
  ? []
  : split(readEnvironmentVariable('API_ADDRESSES', ''), ',')
param clientAddresses = empty(readEnvironmentVariable('CLIENT_ADDRESSES', ''))
  ? []
  : split(readEnvironmentVariable('CLIENT_ADDRESSES', ''), ',')
param builderAddresses = empty(readEnvironmentVariable('BUILDER_ADDRESSES', ''))
  ? []
  : split(readEnvironmentVariable('BUILDER_ADDRESSES', ''), ',')
