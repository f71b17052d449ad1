using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging;
using Millrace.Coordination.Node;
using Millrace.Host.Settings;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Rest;
using Millrace.Kafka.Clients;
using Millrace.Log;
using Millrace.Log.Security;
using Millrace.Pipelines.Jobs;
using Millrace.Pipelines.Linting;
using Millrace.Query;
using Millrace.Query.Wire;
using Millrace.Schemas;
using Millrace.Storage.Files;
using Millrace.Streams.Alerts;
using Millrace.Streams.Running;
using Millrace.WebConsole;
using Millrace.Host.Platform.Seams;
using Millrace.WebConsole.Seams;

namespace Millrace.Host.Platform;

/// <summary>A listener's port is taken.</summary>
internal sealed class PortInUseException(string name, ListenerSettings listener, Exception inner)
    : Exception($"{name}: port {listener.Port} on {listener.Address} is in use", inner)
{
    public int Port { get; } = listener.Port;
}

/// <summary>
/// The whole platform in this process: log, catalog, jobs, SQL, PostgreSQL wire, console. Rooms start from the bottom up and stop from the
/// top down, so that each finds what it stands on.
/// </summary>
internal sealed class MillracePlatform : IAsyncDisposable
{
    private readonly Stack<Func<ValueTask>> _stops = new();
    private string? _notReady = "starting";

    private MillracePlatform()
    {
    }

    /// <summary>The console's and API's address.</summary>
    public Uri Console { get; private set; } = null!;

    /// <summary>host:port of the embedded log.</summary>
    public string Kafka { get; private set; } = null!;

    /// <summary>host:port of the PostgreSQL wire.</summary>
    public string Postgres { get; private set; } = null!;

    /// <summary>host:port of the coordination store; null when it is off.</summary>
    public string? Coordination { get; private set; }

    /// <summary>Starts everything; what has started is stopped again when something fails.</summary>
    /// <exception cref="FolderLockedException">Another process has the data folder.</exception>
    /// <exception cref="PortInUseException">A port is taken.</exception>
    public static async Task<MillracePlatform> StartAsync(
        PlatformSettings settings, ILoggerFactory logs, TimeProvider time, CancellationToken cancellation)
    {
        var platform = new MillracePlatform();
        try
        {
            await platform.StartRoomsAsync(settings, logs, time, cancellation);
            return platform;
        }
        catch
        {
            await platform.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        _notReady = "stopping";
        while (_stops.TryPop(out var stop))
            await stop();
    }

    private async Task StartRoomsAsync(PlatformSettings settings, ILoggerFactory logs, TimeProvider time, CancellationToken cancellation)
    {
        var folder = FolderLock.Take(settings.Data);
        OnStop(folder.Dispose);
        var security = settings.KafkaServer.Security?.ToBroker();
        var broker = await ListenAsync("Kafka", settings.Kafka, () => Broker.StartAsync(BrokerOptionsOf(settings, security), logs, time, cancellation));
        OnStop(broker.DisposeAsync);
        Kafka = broker.BootstrapServers;
        var coordination = await CoordinateAsync(settings, logs, time, cancellation);
        var outer = settings.Coordination is { Endpoints.Count: > 0 } elsewhere ? new OuterClusterSeam(elsewhere) : null;
        if (outer is not null)
            OnStop(outer.Dispose);
        settings = settings with { Kafka = settings.Kafka with { Port = broker.Endpoint.Port } };
        var logins = LoginsOf(settings, broker, security);

        var schemas = SchemaRegistry.Open(new SchemaLog(broker.SchemaState()));
        OnStop(schemas.Dispose);
        var catalog = FolderCatalog.Open(DiskFileSystem.Instance, Path.Combine(settings.Data, "warehouse"), time);
        var jobs = Jobs(settings, catalog, logins, logs, time);
        OnStop(jobs.DisposeAsync);

        var live = new LiveOutputs(jobs);
        var engine = SqlEngine.Create(
            new QueryOptions
            {
                MemoryLimit = settings.Query.MemoryBytes, Threads = settings.Query.Threads, StatementTimeout = settings.Query.Timeout,
                MaxTempBytes = settings.Query.SpillBytes, TempFolder = Path.Combine(settings.Data, "spill"),
            },
            catalog, live, time, logs);
        OnStop(engine.DisposeAsync);
        var postgres = await ListenAsync("PostgreSQL", settings.Postgres, () => PostgresServer.StartAsync(
            new PostgresOptions { Address = settings.Postgres.Address, Port = settings.Postgres.Port }, engine, time, logs, cancellation));
        OnStop(postgres.DisposeAsync);
        Postgres = (settings.Postgres with { Port = postgres.EndPoint.Port }).ToString();

        var console = await ListenAsync("HTTP", settings.Http, () => ConsoleServer.StartAsync(
            new ConsoleOptions
            {
                Address = settings.Http.Address, Port = settings.Http.Port, Certificate = settings.HttpTls ? security!.Certificate : null,
                AllowedHosts = settings.KafkaServer.Advertised is { } host ? [host] : [],
            },
            new ConsoleServices
            {
                Jobs = new JobSeam(jobs),
                Users = new UserSeam(broker.Security),
                Access = settings.HttpLogin == true ? new AccessSeam(broker.Security, security!) : null,
                Topics = new TopicSeam(broker, time, logins),
                Tables = new TableSeam(catalog, settings.Tables),
                Sql = new SqlSeam(engine),
                Iceberg = new RestCatalog(catalog),
                Schemas = new RegistryApi(schemas),
                Cluster = coordination is not null ? new ClusterSeam(coordination) : outer,
                Sessions = coordination is null ? null : new SessionSeam(coordination),
                Process = new ProcessFacts(settings.Data, time),
                Ready = () =>
                {
                    var why = coordination?.Completion.Exception is { } failure ? "coordination: " + failure.InnerException!.Message : _notReady;
                    return new Readiness(why is null, why);
                },
            },
            logs, time, cancellation));
        OnStop(console.DisposeAsync);
        Console = console.Address;

        if (settings.LagAlert is { } lagAlert)
        {
            var sender = new HttpAlertSender();
            OnStop(sender.Dispose);
            var watch = new LagAlert(
                lagAlert, () => broker.Lags().GroupBy(l => l.Group, StringComparer.Ordinal).ToDictionary(g => g.Key, g => g.Sum(l => l.Lag)),
                settings.Targets.GetValueOrDefault(lagAlert.To), sender, time, logs.CreateLogger<LagAlert>());
            OnStop(watch.DisposeAsync);
            watch.Start();
        }

        _notReady = "starting jobs";
        await jobs.ResumeAsync(cancellation);
        // Pipelines read from the embedded log unless the settings name other brokers; these read from it always.
        var topics = new TopicTables(
            broker, jobs, schemas, catalog, settings.Brokers is null ? null : settings.Kafka.ToString(), time, logs.CreateLogger<TopicTables>());
        OnStop(topics.DisposeAsync);
        _notReady = null;
    }

    private async Task<CoordinationNode?> CoordinateAsync(
        PlatformSettings settings, ILoggerFactory logs, TimeProvider time, CancellationToken cancellation)
    {
        if (settings.Coordination is not { } member)
            return null;
        if (member.Endpoints.Count > 0)
        {
            Coordination = string.Join(',', member.Endpoints.Select(static e => e.Authority));
            return null;
        }
        var node = await ListenAsync("coordination (etcd's API)", member.Listener, () => CoordinationNode.StartAsync(
            member.Options(Path.Combine(settings.Data, "coordination")), time, logs, cancellation));
        OnStop(node.DisposeAsync);
        Coordination = (member.Listener with { Port = node.ClientPort }).ToString();
        return node;
    }

    private static BrokerOptions BrokerOptionsOf(PlatformSettings settings, BrokerSecurity? security)
    {
        var server = settings.KafkaServer;
        return server.Options with
        {
            DataFolder = Path.Combine(settings.Data, "log"), Address = settings.Kafka.Address, Port = settings.Kafka.Port, AdvertisedHost = server.Advertised,
            Security = security, Quotas = server.Quotas,
        };
    }

    /// <summary>How clients of this process connect: at the own log as its own user, elsewhere as the settings say.</summary>
    private ClientLogins LoginsOf(PlatformSettings settings, Broker broker, BrokerSecurity? security)
    {
        var own = security is null ? new Dictionary<string, string>() : KafkaSecuritySettings.OwnLogin(security);
        return new ClientLogins(
            new Dictionary<string, IReadOnlyDictionary<string, string>> { [broker.BootstrapServers] = own, [settings.Kafka.ToString()] = own }, settings.Client,
            security is null ? null : KafkaSecuritySettings.OwnHttpLogin(security), () => Console);
    }

    private JobService Jobs(PlatformSettings settings, FolderCatalog catalog, ClientLogins logins, ILoggerFactory logs, TimeProvider time)
    {
        string StateFolder(string job) => Path.Combine(settings.Data, "state", job);
        return new JobService(
            new JobServiceOptions
            {
                DataFolder = settings.Data,
                Context = () => Context(settings, logins, time) with
                {
                    Registry = settings.Registry ?? new Uri(Console ?? settings.HttpAddress, "/schema-registry"), Tables = (space, table) => LintWorld.Table(catalog, space, table),
                },
                ForgetState = job =>
                {
                    if (Directory.Exists(StateFolder(job)))
                        Directory.Delete(StateFolder(job), recursive: true);
                },
                Time = time,
                Log = logs.CreateLogger<JobService>(),
            },
            async (plan, cancellation) => await StreamPipeline.StartAsync(
                plan, new StreamEnvironment
                {
                    StateFolder = StateFolder(plan.Name), Catalog = catalog, Logins = logins, Logs = logs, Time = time, Options = new StreamOptions { Upkeep = settings.Tables },
                },
                cancellation));
    }

    private static LintContext Context(PlatformSettings settings, ClientLogins logins, TimeProvider time) => LintWorld.Of(settings) with
    {
        Subjects = address => LintWorld.Subject(address, logins.ForRegistry(address.Registry)),
        Sampler = address =>
        {
            try
            {
                return LintWorld.Sample(address, time, logins.For(address.Brokers));
            }
            catch (KafkaClientException problem)
            {
                return new TopicSample([], problem.Message);
            }
        },
    };

    private static async Task<T> ListenAsync<T>(string name, ListenerSettings listener, Func<Task<T>> start)
    {
        try
        {
            return await start();
        }
        catch (Exception failure) when (IsAddressInUse(failure))
        {
            throw new PortInUseException(name, listener, failure);
        }
    }

    private static bool IsAddressInUse(Exception failure)
    {
        for (var error = failure; error is not null; error = error.InnerException)
        {
            if (error is SocketException { SocketErrorCode: SocketError.AddressAlreadyInUse })
                return true;
        }
        return false;
    }

    private void OnStop(Func<ValueTask> stop) => _stops.Push(stop);

    private void OnStop(Action stop) => _stops.Push(() =>
    {
        stop();
        return ValueTask.CompletedTask;
    });
}
