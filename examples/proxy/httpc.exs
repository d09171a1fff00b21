{:ok, _} = Application.ensure_all_started(:inets)
{:ok, _} = Application.ensure_all_started(:ssl)

proxy = URI.parse(System.fetch_env!("PROXY_URL"))
[user, password] = proxy.userinfo |> String.split(":", parts: 2) |> Enum.map(&String.to_charlist/1)
address = {{String.to_charlist(proxy.host), proxy.port}, []}
:ok = :httpc.set_options(proxy: address, https_proxy: address)

options = [
  timeout: 30_000,
  proxy_auth: {user, password},
  ssl: [
    verify: :verify_peer,
    cacerts: :public_key.cacerts_get(),
    customize_hostname_check: [match_fun: :public_key.pkix_verify_hostname_match_fun(:https)]
  ]
]

[url] = System.argv()

case :httpc.request(:get, {String.to_charlist(url), []}, options, body_format: :binary) do
  {:ok, {{_, 200, _}, _, body}} ->
    IO.puts(body)

  {:ok, {{_, status, reason}, _, body}} ->
    IO.puts(:stderr, "#{status} #{reason}\n#{body}")
    System.halt(1)

  {:error, why} ->
    IO.puts(:stderr, inspect(why, limit: 20))
    System.halt(1)
end
