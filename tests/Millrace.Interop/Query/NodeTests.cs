using System.Globalization;
using System.Text.Json;
using Millrace.Interop.Iceberg;

namespace Millrace.Interop.Query;

/// <summary>Node's pg, which sends parameters as text without types.</summary>
public sealed class NodeTests(ListeningHouse listening) : IClassFixture<ListeningHouse>
{
    [NpmFact("pg")]
    public void It_reads_rows_binds_parameters_and_recovers_from_errors()
    {
        var answers = ForeignProgram.Node("read-postgres.js", listening.Port.ToString(CultureInfo.InvariantCulture))
            .Select(line => JsonDocument.Parse(line).RootElement).ToDictionary(e => e.GetProperty("name").GetString()!, e => e.GetProperty("value").GetRawText());
        Assert.Equal(
            """[{"id":"1","country":"DE","amount":"10.50","placed":"2024-03-01T10:00:00.000Z","paid":true},{"id":"2","country":"FR","amount":"20.00","placed":"2024-03-01T10:05:00.250Z","paid":false}]""",
            answers["rows"]);
        Assert.Equal("""[{"id":"2"}]""", answers["parameters"]);
        Assert.Equal("""[{"n":3}]""", answers["array parameter"]);
        Assert.Equal("""[{"b":true,"i":7,"d":1.5,"s":"ü","l":[1,null,3],"o":{"a":1},"n":null}]""", answers["types"]);
        Assert.Equal("""[{"v":10}]""", answers["prepared 1"]);
        Assert.Equal("""[{"v":20}]""", answers["prepared 2"]);
        Assert.Equal("""[{"country":"DE","orders":2},{"country":"FR","orders":1}]""", answers["live"]);
        Assert.Equal("""[[{"a":1}],[{"b":2}]]""", answers["several"]);
        Assert.StartsWith("""["42703","8",""", answers["undefined column"], StringComparison.Ordinal);
        Assert.StartsWith("""["42P01","15",""", answers["undefined table"], StringComparison.Ordinal);
        Assert.Equal("""[{"one":1}]""", answers["after errors"]);
        Assert.StartsWith("""["42703",""", answers["in a transaction"], StringComparison.Ordinal);
        Assert.StartsWith("""["25P02",""", answers["aborted"], StringComparison.Ordinal);
        Assert.Equal("""[{"one":1}]""", answers["after rollback"]);
    }
}
