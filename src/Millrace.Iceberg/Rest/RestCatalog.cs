using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Metadata;
using Millrace.Iceberg.Schemas;

namespace Millrace.Iceberg.Rest;

/// <summary>A request, however it came: the path is relative to where the catalog is mounted and still encoded, e.g. <c>/v1/namespaces/a%1Fb</c>.</summary>
public sealed record RestRequest(string Method, string Path, IReadOnlyDictionary<string, string> Query, ReadOnlyMemory<byte> Body);

/// <summary>An answer; the body is JSON, or empty.</summary>
public sealed record RestResponse(int Status, ReadOnlyMemory<byte> Body);

/// <summary>
/// The Iceberg REST catalog over a <see cref="FolderCatalog"/>: a function of request to response, to be mounted by any HTTP server.
/// Spark, Trino, PyIceberg and DuckDB attach to it. Thread-safe.
/// </summary>
public sealed class RestCatalog(FolderCatalog catalog)
{
    /// <summary>What clients are told that they may call; clients assume less when it is missing.</summary>
    private static readonly string[] Endpoints =
    [
        "GET /v1/{prefix}/namespaces",
        "POST /v1/{prefix}/namespaces",
        "GET /v1/{prefix}/namespaces/{namespace}",
        "HEAD /v1/{prefix}/namespaces/{namespace}",
        "DELETE /v1/{prefix}/namespaces/{namespace}",
        "POST /v1/{prefix}/namespaces/{namespace}/properties",
        "GET /v1/{prefix}/namespaces/{namespace}/tables",
        "POST /v1/{prefix}/namespaces/{namespace}/tables",
        "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}",
        "HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}",
        "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}",
        "DELETE /v1/{prefix}/namespaces/{namespace}/tables/{table}",
        "POST /v1/{prefix}/namespaces/{namespace}/register",
        "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics",
        "POST /v1/{prefix}/tables/rename",
        "POST /v1/{prefix}/transactions/commit",
    ];

    private static readonly RestResponse NoContent = new(204, default);

    /// <summary>Answers a request; never throws for what a client or a table did wrong.</summary>
    public RestResponse Handle(RestRequest request)
    {
        try
        {
            return Route(request);
        }
        catch (RestException error)
        {
            return Error(error.Status, error.Type, error.Message);
        }
        catch (NoSuchTableException error)
        {
            return Error(404, nameof(NoSuchTableException), error.Message);
        }
        catch (MissingFileException error)
        {
            return Error(404, "NotFoundException", error.Message);
        }
        catch (NoSuchNamespaceException error)
        {
            return Error(404, nameof(NoSuchNamespaceException), error.Message);
        }
        catch (AlreadyExistsException error)
        {
            return Error(409, nameof(AlreadyExistsException), error.Message);
        }
        catch (NamespaceNotEmptyException error)
        {
            return Error(409, nameof(NamespaceNotEmptyException), error.Message);
        }
        catch (CommitConflictException error)
        {
            return Error(409, "CommitFailedException", error.Message);
        }
        catch (CommitStateUnknownException error)
        {
            return Error(500, nameof(CommitStateUnknownException), error.Message);
        }
        catch (JsonException error)
        {
            return Error(400, "BadRequestException", "the body is not JSON: " + error.Message);
        }
        catch (IcebergException error)
        {
            return Error(400, error is InvalidMetadataException { File: not RequestName } ? "ServerError" : "BadRequestException", error.Message);
        }
        catch (Exception error) when (error is IOException or TimeoutException or UnauthorizedAccessException)
        {
            return Error(503, "ServiceUnavailableException", error.Message);
        }
    }

    private const string RequestName = "the request";

    private RestResponse Route(RestRequest request)
    {
        var parts = request.Path.Trim('/').Split('/');
        if (parts[0] != "v1")
            throw NotFound(request);
        return (request.Method, parts.Length > 1 ? parts[1] : "", parts.Length) switch
        {
            ("GET", "config", 2) => Config(),
            (_, "namespaces", _) => Namespaces(request, parts),
            ("POST", "tables", 3) when parts[2] == "rename" => Rename(request),
            ("POST", "transactions", 3) when parts[2] == "commit" => CommitTransaction(request),
            _ => throw NotFound(request),
        };
    }

    private RestResponse Namespaces(RestRequest request, string[] parts)
    {
        if (parts.Length == 2)
        {
            return request.Method switch
            {
                "GET" => ListNamespaces(request),
                "POST" => CreateNamespace(request),
                _ => throw NotFound(request),
            };
        }
        var space = NamespaceOf(parts[2]);
        if (parts.Length == 3)
        {
            return request.Method switch
            {
                "GET" => NamespaceResponse(space, catalog.NamespaceProperties(space)),
                "HEAD" => catalog.NamespaceExists(space) ? NoContent : new RestResponse(404, default),
                "DELETE" => Done(() => catalog.DropNamespace(space)),
                _ => throw NotFound(request),
            };
        }
        return (request.Method, parts[3], parts.Length) switch
        {
            ("POST", "properties", 4) => UpdateProperties(request, space),
            ("POST", "register", 4) => Register(request, space),
            ("GET", "tables", 4) => ListTables(request, space),
            ("POST", "tables", 4) => CreateTable(request, space),
            (_, "tables", 5) => OneTable(request, new TableIdent(space, Decode(parts[4]))),
            ("POST", "tables", 6) when parts[5] == "metrics" => NoContent,
            _ => throw NotFound(request),
        };
    }

    private RestResponse OneTable(RestRequest request, TableIdent ident) => request.Method switch
    {
        "GET" => TableResponse(Load(ident), request.Query.GetValueOrDefault("snapshots") == "refs"),
        "HEAD" => catalog.TableExists(ident) ? NoContent : new RestResponse(404, default),
        "POST" => Commit(request, ident),
        "DELETE" => Done(() => catalog.DropTable(ident, request.Query.GetValueOrDefault("purgeRequested")?.Equals("true", StringComparison.OrdinalIgnoreCase) == true)),
        _ => throw NotFound(request),
    };

    /// <summary>A namespace that is missing makes the table missing: clients then try it as a metadata table's name.</summary>
    private Table Load(TableIdent ident) => catalog.LoadTable(ident);

    private static RestResponse Config() => Json(200, writer =>
    {
        writer.WriteStartObject("defaults");
        writer.WriteEndObject();
        writer.WriteStartObject("overrides");
        writer.WriteEndObject();
        writer.WriteStartArray("endpoints");
        foreach (var endpoint in Endpoints)
            writer.WriteStringValue(endpoint);
        writer.WriteEndArray();
    });

    private RestResponse ListNamespaces(RestRequest request)
    {
        var parent = request.Query.TryGetValue("parent", out var text) && text.Length > 0 ? new Namespace(text.Split('\u001f')) : null;
        var (page, next) = Page(request, catalog.ListNamespaces(parent));
        return Json(200, writer =>
        {
            writer.WriteStartArray("namespaces");
            foreach (var space in page)
                WriteLevels(writer, null, space);
            writer.WriteEndArray();
            writer.WriteString("next-page-token", next);
        });
    }

    private RestResponse CreateNamespace(RestRequest request)
    {
        using var body = Body(request, out var json);
        var space = new Namespace(json.Items("namespace").Select(l => l.GetString() ?? "").ToArray());
        var properties = json.TextMap("properties");
        catalog.CreateNamespace(space, properties);
        return NamespaceResponse(space, properties);
    }

    private static RestResponse NamespaceResponse(Namespace space, IReadOnlyDictionary<string, string> properties) => Json(200, writer =>
    {
        WriteLevels(writer, "namespace", space);
        TableMetadataWriter.WriteMap(writer, "properties", properties);
    });

    private RestResponse UpdateProperties(RestRequest request, Namespace space)
    {
        using var body = Body(request, out var json);
        var removals = json.Items("removals").Select(r => r.GetString() ?? "").ToArray();
        var updates = json.TextMap("updates");
        var both = removals.Where(updates.ContainsKey).ToArray();
        if (both.Length > 0)
            throw new RestException(422, "UnprocessableEntityException", $"Invalid namespace properties update: cannot simultaneously set and remove {string.Join(", ", both)}");
        string[] missing = [];
        catalog.UpdateNamespace(space, before =>
        {
            missing = removals.Where(r => !before.ContainsKey(r)).ToArray();
            var after = new Dictionary<string, string>(before);
            foreach (var removal in removals)
                after.Remove(removal);
            foreach (var (key, value) in updates)
                after[key] = value;
            return after;
        });
        return Json(200, writer =>
        {
            WriteTexts(writer, "updated", updates.Keys);
            WriteTexts(writer, "removed", removals.Except(missing));
            WriteTexts(writer, "missing", missing);
        });
    }

    private RestResponse ListTables(RestRequest request, Namespace space)
    {
        var (page, next) = Page(request, catalog.ListTables(space));
        return Json(200, writer =>
        {
            writer.WriteStartArray("identifiers");
            foreach (var ident in page)
                RestMessages.WriteIdent(writer, ident);
            writer.WriteEndArray();
            writer.WriteString("next-page-token", next);
        });
    }

    private RestResponse CreateTable(RestRequest request, Namespace space)
    {
        if (!catalog.NamespaceExists(space))
            throw new NoSuchNamespaceException($"Namespace does not exist: {space}");
        using var body = Body(request, out var json);
        var ident = new TableIdent(space, json.Text("name"));
        var schema = SchemaJson.Read(json.Object("schema"));
        var spec = json.Optional("partition-spec") is null ? PartitionSpec.Unpartitioned : TableMetadataReader.ReadUnboundSpec(json.Object("partition-spec"));
        var order = json.Optional("write-order") is null ? SortOrder.Unsorted : TableMetadataReader.ReadSortOrder(json.Object("write-order"));
        var properties = json.TextMap("properties");
        var location = json.OptionalText("location");
        if (json.OptionalBoolean("stage-create") == true)
        {
            if (catalog.TableExists(ident))
                throw new AlreadyExistsException($"Table already exists: {ident}");
            var staged = catalog.NewMetadata(catalog.HomeForNew(ident), schema, spec, order, properties, location);
            return TableResponse(null, staged, false);
        }
        return TableResponse(catalog.CreateTable(ident, schema, spec, order, properties, location), false);
    }

    private RestResponse Commit(RestRequest request, TableIdent ident)
    {
        using var body = Body(request, out var json);
        var change = RestMessages.ReadChange(json, ident, FormatOf(ident));
        Table table;
        if (change.Requirements.Any(r => r is TableRequirement.AssertCreate))
        {
            try
            {
                table = catalog.CommitNew(ident, home => TableMetadataBuilder.ApplyToNothing(change.Updates, home, catalog.Time.GetUtcNow()));
            }
            catch (AlreadyExistsException)
            {
                throw new AlreadyExistsException($"Requirement failed: table already exists: {ident}");
            }
        }
        else
        {
            table = catalog.CommitTable(ident, change.Requirements, change.Updates);
        }
        return TableResponse(table, false);
    }

    private RestResponse CommitTransaction(RestRequest request)
    {
        using var body = Body(request, out var json);
        var changes = new List<TableChange>();
        foreach (var change in json.Objects("table-changes"))
        {
            var ident = RestMessages.ReadIdent(change.Object("identifier"));
            changes.Add(RestMessages.ReadChange(change, ident, FormatOf(ident)));
        }
        if (changes.Count == 1 && changes[0].Requirements.Any(r => r is TableRequirement.AssertCreate))
        {
            var only = changes[0];
            catalog.CommitNew(only.Ident, home => TableMetadataBuilder.ApplyToNothing(only.Updates, home, catalog.Time.GetUtcNow()));
            return NoContent;
        }
        catalog.CommitTables(changes);
        return NoContent;
    }

    /// <summary>Snapshots of version 1 may lack what later ones need.</summary>
    private int FormatOf(TableIdent ident) => catalog.TableExists(ident) ? catalog.LoadTable(ident).Metadata.FormatVersion : 1;

    private RestResponse Rename(RestRequest request)
    {
        using var body = Body(request, out var json);
        catalog.RenameTable(RestMessages.ReadIdent(json.Object("source")), RestMessages.ReadIdent(json.Object("destination")));
        return NoContent;
    }

    private RestResponse Register(RestRequest request, Namespace space)
    {
        using var body = Body(request, out var json);
        return TableResponse(catalog.RegisterTable(new TableIdent(space, json.Text("name")), json.Text("metadata-location")), false);
    }

    private static RestResponse TableResponse(Table table, bool refsOnly) => TableResponse(table.MetadataLocation, table.Metadata, refsOnly);

    private static RestResponse TableResponse(string? location, TableMetadata metadata, bool refsOnly) => Json(200, writer =>
    {
        if (location is not null)
            writer.WriteString("metadata-location", location);
        if (refsOnly)
        {
            var named = metadata.Refs.Values.Select(r => r.SnapshotId).ToHashSet();
            metadata = metadata with { Snapshots = metadata.Snapshots.Where(s => named.Contains(s.SnapshotId)).ToArray() };
        }
        writer.WritePropertyName("metadata");
        TableMetadataWriter.Write(writer, metadata);
        writer.WriteStartObject("config");
        writer.WriteEndObject();
    });

    /// <summary>A page of a list; the token is how many were given before.</summary>
    private static (IReadOnlyList<T> Page, string? Next) Page<T>(RestRequest request, IReadOnlyList<T> all)
    {
        if (!request.Query.TryGetValue("pageSize", out var text))
            return (all, null);
        if (!int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var size) || size < 1)
            throw new IcebergException($"pageSize is '{text}'; expected a number above 0");
        var from = 0;
        if (request.Query.TryGetValue("pageToken", out var token) && token.Length > 0 && !int.TryParse(token, NumberStyles.None, CultureInfo.InvariantCulture, out from))
            throw new IcebergException($"pageToken '{token}' was not given by this catalog");
        var page = all.Skip(from).Take(size).ToArray();
        return (page, from + page.Length < all.Count ? (from + page.Length).ToString(CultureInfo.InvariantCulture) : null);
    }

    private static Namespace NamespaceOf(string segment) => new(Decode(segment).Split('\u001f'));

    private static string Decode(string segment) => Uri.UnescapeDataString(segment.Replace('+', ' '));

    private static JsonDocument Body(RestRequest request, out JsonFields json)
    {
        var body = JsonDocument.Parse(request.Body, new JsonDocumentOptions { MaxDepth = 256 });
        json = new JsonFields(body.RootElement, RequestName, "$");
        return body;
    }

    private static RestResponse Done(Action action)
    {
        action();
        return NoContent;
    }

    private static RestException NotFound(RestRequest request) =>
        new(404, "NotFoundException", $"the catalog has no {request.Method} {request.Path}; see GET /v1/config for what it has");

    private static void WriteLevels(Utf8JsonWriter writer, string? name, Namespace space)
    {
        if (name is null)
            writer.WriteStartArray();
        else
            writer.WriteStartArray(name);
        foreach (var level in space.Levels)
            writer.WriteStringValue(level);
        writer.WriteEndArray();
    }

    private static void WriteTexts(Utf8JsonWriter writer, string name, IEnumerable<string> texts)
    {
        writer.WriteStartArray(name);
        foreach (var text in texts)
            writer.WriteStringValue(text);
        writer.WriteEndArray();
    }

    private static RestResponse Error(int status, string type, string message) => Json(status, writer =>
    {
        writer.WriteStartObject("error");
        writer.WriteString("message", message);
        writer.WriteString("type", type);
        writer.WriteNumber("code", status);
        writer.WriteEndObject();
    });

    private static RestResponse Json(int status, Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            write(writer);
            writer.WriteEndObject();
        }
        return new RestResponse(status, buffer.WrittenMemory);
    }

    private sealed class RestException(int status, string type, string message) : Exception(message)
    {
        public int Status { get; } = status;

        public string Type { get; } = type;
    }
}
